-- What a POST with an Idempotency-Key has made, so that the same request sent again makes nothing twice. Written in the
-- transaction of what it made. An answer may hold a secret that is shown once: it is sealed under a key that only the
-- caller's own credential gives, which the database doesn't have.

CREATE TABLE idempotency_keys (
    id BYTEA PRIMARY KEY, -- SHA-256 of the caller and its key
    org_id UUID REFERENCES organizations (id) ON DELETE CASCADE, -- NULL: a caller of the whole installation
    request BYTEA NOT NULL, -- SHA-256 of method, path and body
    answer BYTEA, -- NULL only within the transaction that makes it
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE INDEX idx_idempotency_keys_org ON idempotency_keys (org_id);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys USING (org_id = current_org_id());

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mindweave_tenant') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO mindweave_tenant;
    END IF;
END
$$;
