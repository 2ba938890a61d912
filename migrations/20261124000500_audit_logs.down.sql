DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'organizations', 'org_members', 'projects', 'api_keys', 'admin_keys',
                                    'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('DROP TRIGGER %I ON %I', 'audit_' || relation, relation);
        EXECUTE format('DROP TRIGGER %I ON %I', 'audit_truncate_' || relation, relation);
    END LOOP;
END
$$;
DROP TRIGGER remember_parent ON mcp_servers;
DROP TRIGGER remember_parent ON projects;
DROP FUNCTION audit_trigger_func();
DROP FUNCTION audit_verb(JSONB, JSONB);
DROP FUNCTION remembered_parent(UUID);
DROP FUNCTION remember_parent();
DROP FUNCTION app_setting(TEXT);
SELECT drop_time_series('audit_logs');
DROP FUNCTION refuse_change();
