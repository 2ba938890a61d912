-- What every relational table's triggers share. Functions that call one of ours keep the search path they were made
-- under: a restore, or a session of another role, runs triggers under a path of its own.

-- True when two versions of a row differ in nothing but the traces of being used. Those are written in batches for
-- every active key: they are neither a change of the row nor news for anybody. Columns a table lacks don't matter.
CREATE FUNCTION only_bookkeeping_changed(old_row JSONB, new_row JSONB) RETURNS BOOLEAN
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT old_row - bookkeeping = new_row - bookkeeping
    FROM (SELECT ARRAY['usage_count', 'last_used_at', 'last_used_ip', 'last_login_at', 'last_login_ip', 'updated_at']
          AS bookkeeping) AS columns
$$;

-- Bookkeeping leaves updated_at alone: readers that poll for changes, and ETags, must not see one in every use of a key.
CREATE FUNCTION set_updated_at() RETURNS TRIGGER
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT only_bookkeeping_changed(to_jsonb(OLD), to_jsonb(NEW)) THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;
