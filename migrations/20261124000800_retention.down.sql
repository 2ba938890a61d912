DROP FUNCTION expire_keys();
DROP INDEX idx_api_keys_expiring;
DROP FUNCTION drop_expired(TIMESTAMPTZ);
DO $$
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        PERFORM remove_retention_policy('usage_hourly');
        PERFORM remove_retention_policy('usage_minute');
        PERFORM remove_retention_policy('mcp_usage');
        PERFORM remove_retention_policy('usage_events');
    END IF;
    UPDATE time_series SET keep = NULL;
END
$$;
DROP FUNCTION set_retention(NAME, INTERVAL);
DROP FUNCTION partitions_of(NAME);
DROP INDEX idx_audit_logs_retention;
DO $$
DECLARE
    relation REGCLASS;
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        FOREACH relation IN ARRAY ARRAY['audit_logs', 'mcp_usage', 'usage_events'] LOOP
            PERFORM remove_compression_policy(relation);
            PERFORM decompress_chunk(chunk, TRUE) FROM show_chunks(relation) AS chunk;
            EXECUTE format('ALTER TABLE %s SET (timescaledb.compress = FALSE)', relation);
        END LOOP;
    END IF;
END
$$;
