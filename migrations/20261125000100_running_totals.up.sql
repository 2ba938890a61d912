-- What has been counted of sessions of agents, and of dreams: their usage is a running total that anybody may see as often as
-- they like, and what is new in it is an event. Kept for good: an old session may be seen again, and go on.

CREATE TABLE upstream_totals (
    id TEXT PRIMARY KEY, -- the API's id of the session
    model TEXT NOT NULL DEFAULT '',
    mixed_models BOOLEAN NOT NULL DEFAULT FALSE,
    speed TEXT,
    inference_geo TEXT,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    cache_read_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_tokens BIGINT NOT NULL DEFAULT 0,
    cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0,
    web_search_requests BIGINT NOT NULL DEFAULT 0,
    active_ms BIGINT NOT NULL DEFAULT 0,
    billed_picodollars BIGINT NOT NULL DEFAULT 0,
    is_listed BOOLEAN NOT NULL DEFAULT FALSE, -- billed by the API's own list_cost
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
