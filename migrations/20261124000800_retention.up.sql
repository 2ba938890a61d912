-- What becomes old: compressed where the engine can, dropped by whole partitions and chunks, and keys that expire.
-- On TimescaleDB Community its policies do it, but for the log, whose age is not a constant.

DO $$
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        ALTER TABLE usage_events SET (timescaledb.compress, timescaledb.compress_segmentby = 'org_id, project_id',
                                      timescaledb.compress_orderby = 'time DESC');
        PERFORM add_compression_policy('usage_events', INTERVAL '7 days');
        ALTER TABLE mcp_usage SET (timescaledb.compress, timescaledb.compress_segmentby = 'org_id, project_id',
                                   timescaledb.compress_orderby = 'time DESC');
        PERFORM add_compression_policy('mcp_usage', INTERVAL '7 days');
        ALTER TABLE audit_logs SET (timescaledb.compress, timescaledb.compress_segmentby = 'org_id',
                                    timescaledb.compress_orderby = 'time DESC, id');
        PERFORM add_compression_policy('audit_logs', INTERVAL '60 days');
    END IF;
END
$$;

-- The longest that an entry of the log asked for.
CREATE INDEX idx_audit_logs_retention ON audit_logs (retention_days DESC) WHERE retention_days > 365;

-- The end of each partition of a table, by name; not the default one.
CREATE FUNCTION partitions_of(relation NAME) RETURNS TABLE (partition NAME, until TIMESTAMPTZ)
    LANGUAGE sql STABLE SET search_path FROM CURRENT SET timezone = 'UTC'
AS $$
    SELECT class.relname,
           substring(pg_get_expr(class.relpartbound, class.oid) FROM 'TO \(''(.*)''\)')::TIMESTAMPTZ
    FROM pg_inherits JOIN pg_class AS class ON class.oid = pg_inherits.inhrelid
    WHERE pg_inherits.inhparent = partitions_of.relation::TEXT::REGCLASS
      AND pg_get_expr(class.relpartbound, class.oid) <> 'DEFAULT'
$$;

-- How long a table or rollup keeps its rows at least; NULL is for ever.
CREATE FUNCTION set_retention(relation NAME, keep INTERVAL) RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = 'warning'
AS $$
BEGIN
    IF relation = 'usage_events' AND keep < INTERVAL '30 days' THEN
        RAISE EXCEPTION 'usage_events can''t be kept for less than 30 days: rollups count what arrives up to 28 days late'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF relation NOT IN ('usage_events', 'mcp_usage', 'audit_logs', 'usage_minute', 'usage_hourly') THEN
        RAISE EXCEPTION '% has no retention: it is one of usage_events, mcp_usage, audit_logs, usage_minute and usage_hourly', relation
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF storage_engine() = 'timescaledb' AND relation <> 'audit_logs' THEN
        PERFORM remove_retention_policy(relation::TEXT::REGCLASS, if_exists => TRUE);
        IF keep IS NOT NULL THEN
            PERFORM add_retention_policy(relation::TEXT::REGCLASS, keep);
        END IF;
        RETURN;
    END IF;
    UPDATE time_series SET keep = set_retention.keep
    WHERE time_series.relation IN (set_retention.relation, set_retention.relation || '_closed');
END
$$;

SELECT set_retention('usage_events', INTERVAL '30 days');
SELECT set_retention('mcp_usage', INTERVAL '30 days');
SELECT set_retention('audit_logs', INTERVAL '365 days');
SELECT set_retention('usage_minute', INTERVAL '7 days');
SELECT set_retention('usage_hourly', INTERVAL '90 days');

-- Drops what has passed its time, whole partitions and chunks; answers how many. Raw usage goes only after its days are
-- counted. Gives up rather than keeping writers waiting: the next call makes up for it.
CREATE FUNCTION drop_expired(moment TIMESTAMPTZ DEFAULT now()) RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '2s'
AS $$
DECLARE
    series time_series;
    expired NAME;
    before TIMESTAMPTZ;
    present BOOLEAN;
    dropped INTEGER := 0;
    chunks INTEGER;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('mindweave.partitions', 0));
    FOR series IN SELECT * FROM time_series WHERE keep IS NOT NULL ORDER BY relation LOOP
        before := moment - series.keep;
        IF series.relation = 'audit_logs' THEN
            before := LEAST(before, moment - make_interval(days => (
                SELECT max(retention_days) FROM audit_logs WHERE retention_days > 365
            )));
        ELSIF series.relation = 'usage_events' THEN
            before := LEAST(before, usage_rollup_watermark('usage_daily'));
        END IF;
        CONTINUE WHEN before = '-infinity';
        IF storage_engine() <> 'postgresql' THEN
            SELECT count(*) INTO chunks FROM drop_chunks(series.relation::TEXT::REGCLASS, older_than => before);
            dropped := dropped + chunks;
            CONTINUE;
        END IF;
        FOR expired IN SELECT partition FROM partitions_of(series.relation) WHERE until <= before LOOP
            EXECUTE format('DROP TABLE %I', expired);
            dropped := dropped + 1;
        END LOOP;
        -- What came when it had no partition any more.
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I < $1)', series.relation || '_default', series.divided_by)
        INTO present USING before;
        IF present THEN
            EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', series.relation || '_default');
            EXECUTE format('DELETE FROM %I WHERE %I < $1', series.relation || '_default', series.divided_by) USING before;
            EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', series.relation || '_default');
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;

CREATE INDEX idx_api_keys_expiring ON api_keys (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;

-- Says of keys that have expired that they have: the data plane refuses them by their time. Answers how many.
CREATE FUNCTION expire_keys() RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    keys INTEGER;
    admin_keys INTEGER;
BEGIN
    UPDATE api_keys SET status = 'expired' WHERE status = 'active' AND expires_at <= now();
    GET DIAGNOSTICS keys = ROW_COUNT;
    UPDATE admin_keys SET status = 'expired' WHERE status = 'active' AND expires_at <= now();
    GET DIAGNOSTICS admin_keys = ROW_COUNT;
    RETURN keys + admin_keys;
END
$$;
