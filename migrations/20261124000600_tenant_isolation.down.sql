DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'organizations', 'org_members', 'projects', 'api_keys', 'admin_keys',
                                    'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('DROP POLICY tenant ON %I', relation);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', relation);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mindweave_tenant') THEN
        EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM mindweave_tenant', current_schema());
        REVOKE ALL ON users, organizations, org_members, projects, api_keys, admin_keys,
            mcp_servers, mcp_tools, policies, subscriptions FROM mindweave_tenant;
    END IF;
END
$$;
DROP FUNCTION current_org_id();
