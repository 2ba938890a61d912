-- How far each stream of events is stored. Moves in the transaction that stores the events and nowhere else, which is what
-- makes every event count exactly once.

CREATE TABLE ingest_cursor (
    stream UUID PRIMARY KEY,
    seq BIGINT NOT NULL, -- the last stored event
    epoch BIGINT NOT NULL, -- fences a second process that holds the same stream
    updated_at TIMESTAMPTZ NOT NULL
);
