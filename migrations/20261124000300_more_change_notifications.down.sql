DO $$
DECLARE
    relation TEXT;
BEGIN
    FOREACH relation IN ARRAY ARRAY['users', 'org_members', 'mcp_servers', 'mcp_tools', 'policies', 'subscriptions'] LOOP
        EXECUTE format('DROP TRIGGER notify_change ON %I', relation);
        EXECUTE format('DROP TRIGGER notify_truncate ON %I', relation);
    END LOOP;
END
$$;
