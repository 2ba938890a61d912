-- One row for each request that reached admission. Rows are encoded for binary COPY in this order of columns, so the
-- order never changes: a column is only ever added at the end.
-- No foreign keys (history outlives what it speaks of) and no unique index: storing once is ingest_cursor's work, and
-- an index on request_id would slow every COPY for it.

CREATE TABLE usage_events (
    time TIMESTAMPTZ NOT NULL, -- the moment of admission

    org_id UUID NOT NULL,
    project_id UUID NOT NULL,
    user_id UUID,
    api_key_id UUID,

    request_id UUID NOT NULL,
    event_type VARCHAR(20) NOT NULL
        CHECK (event_type IN ('api_call', 'mcp_tool', 'streaming')),

    model TEXT NOT NULL -- empty where the request named none
        CONSTRAINT usage_events_model_length CHECK (char_length(model) <= 255),

    input_tokens INTEGER NOT NULL DEFAULT 0, -- uncached
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    cache_write_tokens INTEGER NOT NULL DEFAULT 0, -- all of them
    cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0, -- those of cache_write_tokens that live an hour, at their own price
    web_search_requests INTEGER NOT NULL DEFAULT 0,

    -- Cents of a US dollar, exact to the picodollar: a small call costs thousandths of a cent.
    cost_cents NUMERIC(20, 10) NOT NULL DEFAULT 0,
    price_version TEXT, -- which prices made cost_cents; NULL where none applied
    usage_quality VARCHAR(20) NOT NULL DEFAULT 'exact'
        CHECK (usage_quality IN ('exact', 'partial', 'estimated')),
    service_tier TEXT, -- as the upstream named it

    latency_ms INTEGER,
    time_to_first_token_ms INTEGER,

    mcp_server_id UUID,
    mcp_tool_name VARCHAR(255),

    status VARCHAR(20) NOT NULL DEFAULT 'success'
        CHECK (status IN ('success', 'error', 'timeout', 'rate_limited')),
    error_code VARCHAR(50),
    error_message TEXT,

    metadata JSONB NOT NULL DEFAULT '{}'
);

SELECT make_time_series('usage_events', INTERVAL '1 day', INTERVAL '7 days');

CREATE INDEX idx_usage_events_org_time ON usage_events (org_id, time DESC);
CREATE INDEX idx_usage_events_project_time ON usage_events (project_id, time DESC);
CREATE INDEX idx_usage_events_user_time ON usage_events (user_id, time DESC) WHERE user_id IS NOT NULL;
CREATE INDEX idx_usage_events_model ON usage_events (model, time DESC);
CREATE INDEX idx_usage_events_mcp ON usage_events (mcp_server_id, time DESC) WHERE mcp_server_id IS NOT NULL;
-- Rows arrive nearly in order of time: block ranges answer for a span across all tenants at almost no cost to COPY.
CREATE INDEX idx_usage_events_time ON usage_events USING brin (time);
