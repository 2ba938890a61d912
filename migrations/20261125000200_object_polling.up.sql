-- Batches, sessions and dreams that nobody looks at: whether there may still be something in them that isn't metered.

ALTER TABLE upstream_objects
    ADD COLUMN polled_at TIMESTAMPTZ,
    ADD COLUMN settled_at TIMESTAMPTZ; -- all of it is metered, or it is gone

CREATE INDEX idx_upstream_objects_open ON upstream_objects (polled_at NULLS FIRST)
    WHERE settled_at IS NULL AND kind IN ('batches', 'sessions', 'dreams');
