DROP FUNCTION kept_since (NAME, TIMESTAMPTZ);
-- As it was.
CREATE OR REPLACE FUNCTION set_retention(relation NAME, keep INTERVAL) RETURNS VOID
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
DROP FUNCTION retention_of (NAME);
DROP TABLE retention_floors;
