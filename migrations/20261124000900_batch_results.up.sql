-- What can come twice is stored once: the results of a batch may be downloaded as often as anybody likes, by whomever.

CREATE TABLE ingest_dedupe (
    source TEXT NOT NULL, -- within what the key is unique: a batch's id
    key TEXT NOT NULL,
    day DATE NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::DATE,
    PRIMARY KEY (source, key)
);

CREATE INDEX idx_ingest_dedupe_day ON ingest_dedupe USING brin (day);

-- Forgets keys that nothing can come for any more: results are there for 29 days. Answers how many.
CREATE FUNCTION forget_dedupe_keys() RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    forgotten INTEGER;
BEGIN
    DELETE FROM ingest_dedupe WHERE day < (now() AT TIME ZONE 'UTC')::DATE - 35;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- Who made what upstream, where one upstream key serves many. No foreign keys: it outlives what it speaks of.
CREATE TABLE upstream_objects (
    id TEXT PRIMARY KEY,
    seq BIGINT GENERATED ALWAYS AS IDENTITY, -- in what order they came, for those who follow
    kind VARCHAR(20) NOT NULL, -- the path it was made at: batches, files, sessions, ...
    org_id UUID NOT NULL,
    project_id UUID NOT NULL,
    user_id UUID,
    api_key_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX idx_upstream_objects_project ON upstream_objects (project_id, created_at DESC);
CREATE INDEX idx_upstream_objects_seq ON upstream_objects (seq);

-- One notification for each statement: whoever listens reads what is new.
CREATE FUNCTION notify_upstream_objects() RETURNS TRIGGER
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('mindweave', json_build_object('table', TG_TABLE_NAME, 'operation', TG_OP, 'id', NULL)::TEXT);
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_change AFTER INSERT ON upstream_objects
    FOR EACH STATEMENT EXECUTE FUNCTION notify_upstream_objects();
