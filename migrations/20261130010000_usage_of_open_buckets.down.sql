DROP VIEW usage_by_hour, usage_by_day, usage_by_month;
-- As it was.
CREATE OR REPLACE FUNCTION drop_expired(moment TIMESTAMPTZ DEFAULT now()) RETURNS INTEGER
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
