-- Usage events that the database refused, with its reason. `payload` is the event as it was spooled: nothing of it is lost.

CREATE TABLE ingest_dead_letters (
    stream UUID NOT NULL,
    seq BIGINT NOT NULL,
    request_id UUID NOT NULL,
    time TIMESTAMPTZ NOT NULL, -- when the request was admitted
    reason TEXT NOT NULL,
    payload BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, seq)
);
