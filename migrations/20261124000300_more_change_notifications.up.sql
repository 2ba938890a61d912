-- The rest of what gateways keep in memory: a policy may name users and roles, and decides on MCP servers and tools.

DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'org_members', 'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION notify_change()', relation);
        EXECUTE format('CREATE TRIGGER notify_truncate AFTER TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION notify_change()', relation);
    END LOOP;
END
$$;
