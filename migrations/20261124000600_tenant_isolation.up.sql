-- A tenant's transactions see their own organization and nothing else: the admin API begins them with
-- SET LOCAL ROLE mindweave_tenant and app.current_org_id. The owner of the tables is exempt, and with it the data plane,
-- upkeep, migrations and psql. Usage tables are left out: TimescaleDB refuses continuous aggregates over a table with
-- row-level security, so tenants get no right to them at all.

CREATE FUNCTION current_org_id() RETURNS UUID
    LANGUAGE sql STABLE SET search_path FROM CURRENT
AS $$
    SELECT app_setting('current_org_id')::UUID
$$;

CREATE POLICY tenant ON organizations USING (id = current_org_id());
CREATE POLICY tenant ON org_members USING (org_id = current_org_id());
-- A person belongs to those who have them as a member, and may be made before they are one.
CREATE POLICY tenant ON users USING (id IN (
    SELECT user_id FROM org_members WHERE org_members.org_id = current_org_id()
)) WITH CHECK (TRUE);
CREATE POLICY tenant ON projects USING (org_id = current_org_id());
CREATE POLICY tenant ON api_keys USING (project_id IN (
    SELECT projects.id FROM projects WHERE projects.org_id = current_org_id()
));
CREATE POLICY tenant ON admin_keys USING (org_id = current_org_id());
CREATE POLICY tenant ON mcp_servers USING (project_id IN (
    SELECT projects.id FROM projects WHERE projects.org_id = current_org_id()
));
CREATE POLICY tenant ON mcp_tools USING (server_id IN (
    SELECT mcp_servers.id FROM mcp_servers JOIN projects ON projects.id = mcp_servers.project_id
    WHERE projects.org_id = current_org_id()
));
-- Of two owners neither may be a stranger.
CREATE POLICY tenant ON policies USING (
    (org_id IS NULL OR org_id = current_org_id())
    AND (project_id IS NULL OR project_id IN (
        SELECT projects.id FROM projects WHERE projects.org_id = current_org_id()
    ))
);
CREATE POLICY tenant ON subscriptions USING (org_id = current_org_id());

-- Roles belong to the server: this one is shared by all databases on it, and stays when migrations are undone.
DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'organizations', 'org_members', 'projects', 'api_keys', 'admin_keys',
                                    'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', relation);
    END LOOP;

    <<create_role>>
    BEGIN
        CREATE ROLE mindweave_tenant NOLOGIN;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL; -- also when another database's migration made it just now
        WHEN insufficient_privilege THEN
            RAISE WARNING 'role mindweave_tenant can''t be created without CREATEROLE: tenants are kept apart by queries alone';
            RETURN;
    END create_role;
    -- Also for whoever made the role: since PostgreSQL 16 that makes a member who may not become it. Superusers may anyway,
    -- and changing the role's members would only get in the way of other databases that are migrated right now.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        <<become_role>>
        BEGIN
            EXECUTE format('GRANT mindweave_tenant TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING '% may not become mindweave_tenant: tenants are kept apart by queries alone', current_user;
        END become_role;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO mindweave_tenant', current_schema());
    GRANT SELECT, INSERT, UPDATE, DELETE ON organizations, org_members, projects, api_keys, admin_keys,
        mcp_servers, mcp_tools, policies, subscriptions TO mindweave_tenant;
    -- A person may be a member of several organizations: none of them may read or set how the others' members sign in,
    -- and none may delete them.
    GRANT SELECT (id, email, email_verified, name, avatar_url, timezone, locale, mfa_enabled, status, last_login_at,
                  last_login_ip, settings, metadata, created_at, updated_at, deleted_at),
          UPDATE (name, avatar_url, timezone, locale, settings, metadata),
          INSERT ON users TO mindweave_tenant;
END
$$;
