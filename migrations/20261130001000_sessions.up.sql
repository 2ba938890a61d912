-- Sessions: what a user who has logged in acts with. Of the token only the SHA-256 is stored (64 lower-case hex digits).
-- A session is for one organization, and goes with the membership that it is for. It is the user's and not the
-- organization's: tenants have no right to it.

CREATE TABLE sessions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL,
    org_id UUID NOT NULL,

    token_hash VARCHAR(64) NOT NULL,
    address INET,
    user_agent TEXT,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_used_at TIMESTAMPTZ NOT NULL DEFAULT now(), -- to the minute
    expires_at TIMESTAMPTZ NOT NULL, -- whatever it is used for

    FOREIGN KEY (org_id, user_id) REFERENCES org_members (org_id, user_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_sessions_token ON sessions (token_hash);
CREATE INDEX idx_sessions_user ON sessions (user_id, created_at);
CREATE INDEX idx_sessions_member ON sessions (org_id, user_id);
CREATE INDEX idx_sessions_last_used ON sessions (last_used_at);

-- Removes some of those that are over; called again and again, all. Answers how many.
CREATE FUNCTION forget_sessions() RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    forgotten INTEGER;
BEGIN
    -- Those that somebody else removes right now are as good as removed. One that has expired isn't used any more either.
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE last_used_at < now() - INTERVAL '1 hour'
        ORDER BY last_used_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- The step of the last one-time password that was used: none is good twice.
ALTER TABLE users ADD COLUMN mfa_last_step BIGINT;

CREATE OR REPLACE FUNCTION only_bookkeeping_changed(old_row JSONB, new_row JSONB) RETURNS BOOLEAN
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT old_row - bookkeeping = new_row - bookkeeping
    FROM (SELECT ARRAY['usage_count', 'last_used_at', 'last_used_ip', 'last_login_at', 'last_login_ip', 'mfa_last_step', 'updated_at']
          AS bookkeeping) AS columns
$$;

-- Of what somebody does, also with which of their keys or sessions: app.current_key_type ('admin_key' or 'session', without
-- a constraint, which a hypertable that may be compressed takes no column with) and app.current_key_id.
ALTER TABLE audit_logs
    ADD COLUMN actor_key_type VARCHAR(20),
    ADD COLUMN actor_key_id UUID;

-- With its owner's rights: whoever may change a row needs no right to write the log, nor could forge it.
CREATE OR REPLACE FUNCTION audit_trigger_func() RETURNS TRIGGER
    LANGUAGE plpgsql SECURITY DEFINER
AS $$
DECLARE
    secrets CONSTANT TEXT[] := ARRAY['password_hash', 'mfa_secret', 'mfa_backup_codes', 'key_hash', 'sso_config',
                                     'environment', 'transport_config', 'invitation_hash', 'token_hash'];
    old_row JSONB := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    new_row JSONB := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    resource JSONB := COALESCE(new_row, old_row, '{}');
    project UUID := resource ->> 'project_id';
    org UUID := resource ->> 'org_id';
    verb TEXT := lower(TG_OP);
    changed JSONB;
BEGIN
    -- Who has an address is not for those to know who invite it.
    IF TG_TABLE_NAME = 'org_members' AND resource ->> 'status' = 'invited' THEN
        old_row := old_row - 'user_id';
        new_row := new_row - 'user_id';
    END IF;

    IF TG_OP = 'INSERT' THEN
        verb := 'create';
        changed := jsonb_build_object('created', new_row - secrets);
    ELSIF TG_OP = 'DELETE' THEN
        changed := jsonb_build_object('deleted', old_row - secrets);
    ELSIF TG_OP = 'UPDATE' THEN
        IF only_bookkeeping_changed(old_row, new_row) THEN
            RETURN NULL;
        END IF;
        verb := audit_verb(old_row, new_row);
        SELECT COALESCE(jsonb_object_agg(key, jsonb_build_object('old', old_row -> key, 'new', value)), '{}')
        INTO changed
        FROM jsonb_each(new_row - secrets - 'updated_at'::TEXT)
        WHERE value IS DISTINCT FROM old_row -> key;
    END IF;

    IF TG_TABLE_NAME = 'organizations' THEN
        org := resource ->> 'id';
    ELSIF TG_TABLE_NAME = 'projects' THEN
        project := resource ->> 'id';
    ELSIF TG_TABLE_NAME = 'mcp_tools' AND resource <> '{}' THEN
        SELECT servers.project_id INTO project FROM mcp_servers AS servers WHERE servers.id = (resource ->> 'server_id')::UUID;
        project := COALESCE(project, remembered_parent((resource ->> 'server_id')::UUID));
    END IF;
    IF org IS NULL AND project IS NOT NULL THEN
        SELECT projects.org_id INTO org FROM projects WHERE projects.id = project;
        org := COALESCE(org, remembered_parent(project));
    END IF;

    INSERT INTO audit_logs (
        actor_type, actor_id, actor_key_type, actor_key_id, actor_ip, actor_user_agent, org_id, project_id,
        action, resource_type, resource_id, changes, request_id, sensitive
    ) VALUES (
        COALESCE(app_setting('actor_type'), 'system'),
        app_setting('current_user_id')::UUID,
        app_setting('current_key_type'),
        app_setting('current_key_id')::UUID,
        app_setting('actor_ip')::INET,
        app_setting('actor_user_agent'),
        COALESCE(org, app_setting('current_org_id')::UUID),
        project,
        TG_TABLE_NAME || '.' || verb,
        TG_TABLE_NAME,
        (resource ->> 'id')::UUID,
        changed,
        app_setting('request_id')::UUID,
        TG_OP = 'UPDATE' AND EXISTS (
            SELECT FROM unnest(secrets) AS secret WHERE new_row -> secret IS DISTINCT FROM old_row -> secret
        )
    );
    RETURN NULL;
END
$$;

-- Replacing a function forgets its path.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION audit_trigger_func() SET search_path = %I, pg_temp', current_schema());
END
$$;

CREATE TRIGGER audit_sessions AFTER INSERT OR UPDATE OR DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION audit_trigger_func();
CREATE TRIGGER audit_truncate_sessions AFTER TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trigger_func();
