-- Who changed what. Written by triggers in the transaction of the change, so there is no change without its row, whoever
-- makes it and with what. Who that is says the transaction: app.actor_type, app.current_user_id, app.actor_ip,
-- app.actor_user_agent, app.request_id, and app.current_org_id where the row itself belongs to nobody.

CREATE TABLE audit_logs (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    time TIMESTAMPTZ NOT NULL DEFAULT now(),

    actor_type VARCHAR(20) NOT NULL
        CHECK (actor_type IN ('user', 'api_key', 'system', 'webhook')),
    actor_id UUID,
    actor_ip INET,
    actor_user_agent TEXT,

    org_id UUID,
    project_id UUID,

    action VARCHAR(50) NOT NULL, -- <table>.<verb>
    resource_type VARCHAR(50) NOT NULL,
    resource_id UUID,

    changes JSONB,
    request_id UUID,

    sensitive BOOLEAN NOT NULL DEFAULT FALSE, -- a secret was among what changed
    retention_days INTEGER
);

SELECT make_time_series('audit_logs', INTERVAL '1 month', INTERVAL '2 months');

ALTER TABLE audit_logs ADD PRIMARY KEY (id, time);
CREATE INDEX idx_audit_logs_org ON audit_logs (org_id, time DESC);
CREATE INDEX idx_audit_logs_actor ON audit_logs (actor_id, time DESC);
CREATE INDEX idx_audit_logs_resource ON audit_logs (resource_type, resource_id, time DESC);
CREATE INDEX idx_audit_logs_action ON audit_logs (action, time DESC);
CREATE INDEX idx_audit_logs_time ON audit_logs USING brin (time);

CREATE FUNCTION refuse_change() RETURNS TRIGGER
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Retention drops whole partitions, which is neither.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Partitions inherit no triggers of statements; make_partition gives it to the later ones. To a hypertable's chunks nobody
-- does: truncating one of those is left to the owner's conscience.
DO $$
BEGIN
    IF storage_engine() = 'postgresql' THEN
        CREATE TRIGGER never_truncate BEFORE TRUNCATE ON audit_logs_default
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    END IF;
END
$$;

-- A setting of the transaction. Unset and empty are the same: a setting once made is empty afterwards, never unset.
CREATE FUNCTION app_setting(name TEXT) RETURNS TEXT
    LANGUAGE sql STABLE
AS $$
    SELECT NULLIF(current_setting('app.' || name, true), '')
$$;

-- On a cascade the parent is gone when the child's trigger asks whose it was, so parents leave word.
CREATE FUNCTION remember_parent() RETURNS TRIGGER
    LANGUAGE plpgsql
AS $$
DECLARE
    gone JSONB := to_jsonb(OLD);
BEGIN
    PERFORM set_config('app.parent_of_' || replace(gone ->> 'id', '-', ''),
                       COALESCE(gone ->> 'org_id', gone ->> 'project_id'), true);
    RETURN OLD;
END
$$;

CREATE FUNCTION remembered_parent(id UUID) RETURNS UUID
    LANGUAGE sql STABLE
AS $$
    SELECT app_setting('parent_of_' || replace(id::TEXT, '-', ''))::UUID
$$;

CREATE TRIGGER remember_parent BEFORE DELETE ON projects
    FOR EACH ROW EXECUTE FUNCTION remember_parent();
CREATE TRIGGER remember_parent BEFORE DELETE ON mcp_servers
    FOR EACH ROW EXECUTE FUNCTION remember_parent();

-- What was done, in a verb where the columns tell it.
CREATE FUNCTION audit_verb(old_row JSONB, new_row JSONB) RETURNS TEXT
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN old_row ->> 'deleted_at' IS NULL AND new_row ->> 'deleted_at' IS NOT NULL THEN 'delete'
        WHEN old_row ->> 'deleted_at' IS NOT NULL AND new_row ->> 'deleted_at' IS NULL THEN 'restore'
        WHEN old_row ->> 'status' IS NOT DISTINCT FROM new_row ->> 'status' THEN 'update'
        WHEN old_row ->> 'status' = 'invited' AND new_row ->> 'status' = 'active' THEN 'accept'
        ELSE CASE new_row ->> 'status'
            WHEN 'approved' THEN 'approve'
            WHEN 'archived' THEN 'archive'
            WHEN 'canceled' THEN 'cancel'
            WHEN 'deprecated' THEN 'deprecate'
            WHEN 'disabled' THEN 'disable'
            WHEN 'expired' THEN 'expire'
            WHEN 'paused' THEN 'pause'
            WHEN 'rejected' THEN 'reject'
            WHEN 'revoked' THEN 'revoke'
            WHEN 'suspended' THEN 'suspend'
            ELSE 'update'
        END
    END
$$;

-- With its owner's rights: whoever may change a row needs no right to write the log, nor could forge it.
CREATE FUNCTION audit_trigger_func() RETURNS TRIGGER
    LANGUAGE plpgsql SECURITY DEFINER
AS $$
DECLARE
    secrets CONSTANT TEXT[] := ARRAY['password_hash', 'mfa_secret', 'mfa_backup_codes', 'key_hash', 'sso_config',
                                     'environment', 'transport_config'];
    old_row JSONB := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    new_row JSONB := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    resource JSONB := COALESCE(new_row, old_row, '{}');
    project UUID := resource ->> 'project_id';
    org UUID := resource ->> 'org_id';
    verb TEXT := lower(TG_OP);
    changed JSONB;
BEGIN
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
        actor_type, actor_id, actor_ip, actor_user_agent, org_id, project_id,
        action, resource_type, resource_id, changes, request_id, sensitive
    ) VALUES (
        COALESCE(app_setting('actor_type'), 'system'),
        app_setting('current_user_id')::UUID,
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

-- A trigger's function runs for whoever may put it on a table, and anybody may on a temporary one of their own, named as
-- they like: only the owner may.
REVOKE EXECUTE ON FUNCTION audit_trigger_func() FROM PUBLIC;

-- Temporary tables come last in the path of what runs with its owner's rights: anybody may make one by any name.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION app_setting(TEXT) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION remembered_parent(UUID) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION audit_trigger_func() SET search_path = %I, pg_temp', current_schema());
END
$$;

DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'organizations', 'org_members', 'projects', 'api_keys', 'admin_keys',
                                    'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION audit_trigger_func()', 'audit_' || relation, relation);
        EXECUTE format('CREATE TRIGGER %I AFTER TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION audit_trigger_func()', 'audit_truncate_' || relation, relation);
    END LOOP;
END
$$;
