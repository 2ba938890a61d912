-- Tells gateways at once what changed in the tables their snapshots are made of: {"table", "operation", "id"} on channel
-- mindweave, delivered on commit. Only a hint of where to look: never the row, since a payload is limited to 8000 bytes
-- and everybody who is connected may listen. Bookkeeping is no news: it would wake every gateway for every used key.

CREATE FUNCTION notify_change() RETURNS TRIGGER
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    id UUID; -- stays NULL for TRUNCATE, which fires once for the whole table
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF only_bookkeeping_changed(to_jsonb(OLD), to_jsonb(NEW)) THEN
            RETURN NULL;
        END IF;
        id := NEW.id;
    ELSIF TG_OP = 'INSERT' THEN
        id := NEW.id;
    ELSIF TG_OP = 'DELETE' THEN
        id := OLD.id;
    END IF;
    PERFORM pg_notify('mindweave', json_build_object('table', TG_TABLE_NAME, 'operation', TG_OP, 'id', id)::TEXT);
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON organizations
    FOR EACH ROW EXECUTE FUNCTION notify_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change();

CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON projects
    FOR EACH ROW EXECUTE FUNCTION notify_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON projects
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change();

CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION notify_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change();

CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR DELETE ON admin_keys
    FOR EACH ROW EXECUTE FUNCTION notify_change();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON admin_keys
    FOR EACH STATEMENT EXECUTE FUNCTION notify_change();
