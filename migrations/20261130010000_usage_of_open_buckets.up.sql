-- What was used by hour, day and month, without reading an open bucket's rows one by one: what has closed of it in finer rollups is
-- taken from there, and only the last minutes are live. Without users, keys and latencies, which finer rollups don't have; one
-- bucket of a project and model may be several lines, to be added up. A row that arrives for a closed minute is in the open
-- buckets too once it is computed again.

-- Watermarks are selected so that they are read once, not for each row. Where ends aren't known yet the planner takes it that a
-- span is small, as the live one is, but that one without an upper end is a third of everything: hence 'infinity'.
DO $$
DECLARE
    sums CONSTANT TEXT := 'org_id, project_id, model, request_count, success_count, total_input_tokens, total_output_tokens,
        total_cache_read_tokens, total_cache_write_tokens, total_cache_write_1h_tokens, total_web_search_requests, total_cost_cents';
    made RECORD;
    rollup NAME;
    watermark TEXT;
    ends TEXT; -- of the coarser ones: catching up, a finer one may end before them
    parts TEXT[];
BEGIN
    FOR made IN SELECT * FROM (VALUES
        ('usage_by_hour', ARRAY['usage_hourly', 'usage_minute'],
         'date_bin(''1 hour'', %s, TIMESTAMPTZ ''2000-01-01 00:00:00+00'')'),
        ('usage_by_day', ARRAY['usage_daily', 'usage_hourly', 'usage_minute'],
         'date_bin(''1 day'', %s, TIMESTAMPTZ ''2000-01-01 00:00:00+00'')'),
        ('usage_by_month', ARRAY['usage_monthly', 'usage_daily', 'usage_hourly', 'usage_minute'],
         'date_trunc(''month'', %s, ''UTC'')')
    ) AS views (name, rollups, bucket) LOOP
        IF storage_engine() = 'timescaledb' THEN
            EXECUTE format('CREATE VIEW %I AS SELECT bucket, %s FROM %I', made.name, sums, made.rollups[1]);
            CONTINUE;
        END IF;
        ends := NULL;
        parts := ARRAY[]::TEXT[];
        FOREACH rollup IN ARRAY made.rollups LOOP
            watermark := format('usage_rollup_watermark(%L)', rollup);
            parts := parts || format('SELECT %s AS bucket, %s FROM %I WHERE %s',
                                     CASE WHEN ends IS NULL THEN 'bucket' ELSE format(made.bucket, 'bucket') END, sums,
                                     rollup || '_closed',
                                     concat_ws(' AND ', 'bucket >= (SELECT GREATEST(' || ends || '))',
                                               'bucket < (SELECT ' || watermark || ')'));
            ends := concat_ws(', ', ends, watermark);
        END LOOP;
        parts := parts || format('SELECT bucket, %s FROM (%s) AS live', sums,
                                 usage_rollup_query('usage_minute', format(made.bucket, 'time'),
                                                    'time >= (SELECT GREATEST(' || ends || ')) AND time <= ''infinity'''));
        EXECUTE format('CREATE VIEW %I AS %s', made.name, array_to_string(parts, ' UNION ALL '));
    END LOOP;
END
$$;

-- As it was, but that hours and minutes, as raw usage, go only after their days are counted.
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
        ELSIF series.relation IN ('usage_events', 'usage_hourly_closed', 'usage_minute_closed') THEN
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
