-- What usage_events adds up to by minute, hour, day and month, under the same names, with the same columns and the same
-- answers on every engine. Buckets begin in UTC. Rows of test keys, and of requests that a rule refused, are left out.
--
-- TimescaleDB Community keeps them as continuous aggregates. On the other engines a bucket that has closed is stored in
-- <name>_closed by refresh_usage_rollups(), the open ones come live from the source, and a row that arrives for a closed
-- bucket has it computed again.

-- The one definition of each: all engines compute by it. `bucket` is the expression of the bucket's beginning.
CREATE FUNCTION usage_rollup_query(rollup NAME, bucket TEXT, condition TEXT) RETURNS TEXT
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE rollup
        WHEN 'usage_daily' THEN format('
            SELECT %s AS bucket, org_id, project_id, model, user_id, api_key_id,', bucket)
        ELSE format('
            SELECT %s AS bucket, org_id, project_id, model,', bucket)
    END || CASE rollup
        WHEN 'usage_monthly' THEN format('
                SUM(request_count)::BIGINT AS request_count,
                SUM(success_count)::BIGINT AS success_count,
                SUM(error_count)::BIGINT AS error_count,
                SUM(total_input_tokens)::BIGINT AS total_input_tokens,
                SUM(total_output_tokens)::BIGINT AS total_output_tokens,
                SUM(total_cache_read_tokens)::BIGINT AS total_cache_read_tokens,
                SUM(total_cache_write_tokens)::BIGINT AS total_cache_write_tokens,
                SUM(total_cache_write_1h_tokens)::BIGINT AS total_cache_write_1h_tokens,
                SUM(total_web_search_requests)::BIGINT AS total_web_search_requests,
                SUM(total_cost_cents) AS total_cost_cents,
                COUNT(DISTINCT user_id) AS unique_users,
                COUNT(DISTINCT bucket) AS active_days
            FROM usage_daily
            WHERE %s
            GROUP BY 1, 2, 3, 4', condition)
        ELSE '
                COUNT(*) AS request_count,
                COUNT(*) FILTER (WHERE status = ''success'') AS success_count,
                COUNT(*) FILTER (WHERE status = ''error'') AS error_count,
                SUM(input_tokens) AS total_input_tokens,
                SUM(output_tokens) AS total_output_tokens,
                SUM(cache_read_tokens) AS total_cache_read_tokens,
                SUM(cache_write_tokens) AS total_cache_write_tokens,
                SUM(cache_write_1h_tokens) AS total_cache_write_1h_tokens,
                SUM(web_search_requests) AS total_web_search_requests,
                SUM(cost_cents) AS total_cost_cents,
                AVG(latency_ms) AS avg_latency_ms'
            || CASE rollup WHEN 'usage_hourly' THEN ',
                PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_latency_ms,
                PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_latency_ms,
                PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99_latency_ms,
                COUNT(DISTINCT user_id) AS unique_users' ELSE '' END
            || format('
            FROM usage_events
            WHERE NOT metadata ? ''test'' AND NOT metadata ? ''refusals'' AND %s
            GROUP BY 1, 2, 3, 4', condition)
            || CASE rollup WHEN 'usage_daily' THEN ', 5, 6' ELSE '' END
    END
$$;

-- The engines without continuous aggregates. `reaches`: how far back a late row still counts, well inside what the source
-- keeps, so that no bucket is ever computed again from less than it was made of.
CREATE TABLE usage_rollup_state (
    rollup NAME PRIMARY KEY,
    width INTERVAL NOT NULL,
    reaches INTERVAL NOT NULL,
    at_once INTERVAL NOT NULL, -- how much one step closes at most
    watermark TIMESTAMPTZ NOT NULL DEFAULT '-infinity' -- buckets before it are stored
);

-- Up to `settled` every row is either visible to all or will leave a note: see settle_usage().
CREATE TABLE usage_rollup_horizon (
    settled TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    asked_at TIMESTAMPTZ,
    asked_before XID8
);

-- Minutes in which a row arrived late, was changed or removed. No index: writers never wait for each other here.
CREATE TABLE usage_rollup_notes (minute TIMESTAMPTZ NOT NULL);

-- Closed buckets to be computed again.
CREATE TABLE usage_rollup_reopened (
    rollup NAME NOT NULL REFERENCES usage_rollup_state,
    bucket TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (rollup, bucket)
);

-- The beginning of the bucket that a moment falls into.
CREATE FUNCTION usage_rollup_bucket(width INTERVAL, moment TIMESTAMPTZ) RETURNS TIMESTAMPTZ
    LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN width < INTERVAL '1 month' THEN date_bin(width, moment, TIMESTAMPTZ '2000-01-01 00:00:00+00')
        ELSE date_trunc('month', moment, 'UTC')
    END
$$;

CREATE FUNCTION usage_rollup_watermark(rollup NAME) RETURNS TIMESTAMPTZ
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path FROM CURRENT
AS $$
    SELECT watermark FROM usage_rollup_state AS state WHERE state.rollup = usage_rollup_watermark.rollup
$$;

-- The text of what a rollup computes over [since, until), or from `since` on.
CREATE FUNCTION usage_rollup_select(rollup NAME, since TEXT, until TEXT DEFAULT NULL) RETURNS TEXT
    LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT
AS $$
    SELECT usage_rollup_query(
        rollup,
        CASE rollup
            WHEN 'usage_minute' THEN 'date_bin(''1 minute'', time, TIMESTAMPTZ ''2000-01-01 00:00:00+00'')'
            WHEN 'usage_hourly' THEN 'date_bin(''1 hour'', time, TIMESTAMPTZ ''2000-01-01 00:00:00+00'')'
            WHEN 'usage_daily' THEN 'date_bin(''1 day'', time, TIMESTAMPTZ ''2000-01-01 00:00:00+00'')'
            WHEN 'usage_monthly' THEN 'date_trunc(''month'', bucket, ''UTC'')'
        END,
        concat_ws(' AND ', moment || ' >= ' || since, moment || ' < ' || until)
    )
    FROM (SELECT CASE rollup WHEN 'usage_monthly' THEN 'bucket' ELSE 'time' END AS moment) AS source
$$;

-- Up to which time all rows are settled. A row that comes later than two minutes after its time leaves a note as it is
-- written; so once every transaction that was writing at some moment has ended, no row of two minutes before that moment can
-- still appear without one. Three minutes more allow for a clock that steps back, as on failover. Transactions that
-- take long hold this up, and with it only how much is computed live.
CREATE FUNCTION settle_usage(moment TIMESTAMPTZ) RETURNS TIMESTAMPTZ
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    horizon usage_rollup_horizon;
BEGIN
    SELECT * INTO STRICT horizon FROM usage_rollup_horizon;
    -- In a restored database transactions count from elsewhere.
    IF horizon.asked_before IS NULL OR horizon.asked_before > pg_snapshot_xmax(pg_current_snapshot()) THEN
        horizon.asked_at := moment;
        -- Not the snapshot's xmax: whoever began after the last one that ended is beyond that too.
        horizon.asked_before := pg_current_xact_id();
    END IF;
    IF horizon.asked_before <= pg_snapshot_xmin(pg_current_snapshot()) THEN
        horizon.settled := GREATEST(horizon.settled, horizon.asked_at - INTERVAL '5 minutes');
        horizon.asked_at := NULL;
        horizon.asked_before := NULL;
    END IF;
    UPDATE usage_rollup_horizon SET settled = horizon.settled, asked_at = horizon.asked_at, asked_before = horizon.asked_before
    WHERE ROW(settled, asked_at, asked_before) IS DISTINCT FROM ROW(horizon.settled, horizon.asked_at, horizon.asked_before);
    RETURN horizon.settled;
END
$$;

-- Computes one bucket or several that lie side by side, in place of what was stored for them.
CREATE FUNCTION store_usage_rollup(rollup NAME, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC'
AS $$
BEGIN
    EXECUTE format('DELETE FROM %I WHERE bucket >= $1 AND bucket < $2', rollup || '_closed') USING since, until;
    EXECUTE format('INSERT INTO %I %s', rollup || '_closed', usage_rollup_select(rollup, '$1', '$2')) USING since, until;
    -- What is made of days changes with them.
    IF rollup = 'usage_daily' THEN
        INSERT INTO usage_rollup_reopened
        SELECT DISTINCT state.rollup, usage_rollup_bucket(state.width, day)
        FROM generate_series(since, until - INTERVAL '1 day', INTERVAL '1 day') AS day, usage_rollup_state AS state
        WHERE state.rollup = 'usage_monthly' AND usage_rollup_bucket(state.width, day) < state.watermark
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;

-- One step of the upkeep of rollups; answers how many buckets it computed, 0 when nothing is left to do. Steps are
-- small and each is a transaction of its own, so what was done stays done. Costs what has changed, whatever is stored.
CREATE FUNCTION refresh_usage_rollups(moment TIMESTAMPTZ DEFAULT clock_timestamp()) RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC'
AS $$
DECLARE
    state usage_rollup_state;
    settled TIMESTAMPTZ;
    until TIMESTAMPTZ;
    reopened TIMESTAMPTZ;
    computed INTEGER := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('mindweave.rollups', 0));
    IF NOT EXISTS (SELECT FROM usage_rollup_state) THEN
        RETURN 0; -- TimescaleDB does it
    END IF;
    settled := settle_usage(moment);

    -- Notes of buckets that are still open are done with: whoever closes those sees the rows.
    WITH taken AS (DELETE FROM usage_rollup_notes RETURNING minute)
    INSERT INTO usage_rollup_reopened
    SELECT DISTINCT rollups.rollup, usage_rollup_bucket(rollups.width, taken.minute)
    FROM (SELECT DISTINCT minute FROM taken) AS taken, usage_rollup_state AS rollups
    WHERE rollups.rollup <> 'usage_monthly' AND usage_rollup_bucket(rollups.width, taken.minute) < rollups.watermark
    ON CONFLICT DO NOTHING;

    FOR state IN SELECT * FROM usage_rollup_state ORDER BY width LOOP
        IF state.rollup = 'usage_monthly' THEN
            settled := usage_rollup_watermark('usage_daily');
        END IF;
        until := usage_rollup_bucket(state.width, settled);
        IF state.watermark = '-infinity' AND until > '-infinity' THEN
            EXECUTE CASE state.rollup
                WHEN 'usage_monthly' THEN 'SELECT min(bucket) FROM usage_daily_closed'
                ELSE 'SELECT min(time) FROM usage_events'
            END INTO state.watermark;
            state.watermark := LEAST(until, usage_rollup_bucket(state.width, state.watermark));
        END IF;
        IF state.watermark < until THEN
            until := LEAST(until, usage_rollup_bucket(state.width, state.watermark + state.at_once));
            PERFORM store_usage_rollup(state.rollup, state.watermark, until);
            computed := computed + 1;
            state.watermark := until;
        END IF;
        UPDATE usage_rollup_state SET watermark = state.watermark
        WHERE rollup = state.rollup AND watermark <> state.watermark;

        FOR reopened IN
            WITH next AS (
                SELECT waiting.rollup, waiting.bucket FROM usage_rollup_reopened AS waiting
                WHERE waiting.rollup = state.rollup ORDER BY waiting.bucket
                LIMIT GREATEST(1, extract(epoch FROM state.at_once) / extract(epoch FROM state.width))
            )
            DELETE FROM usage_rollup_reopened AS waiting USING next
            WHERE waiting.rollup = next.rollup AND waiting.bucket = next.bucket RETURNING waiting.bucket
        LOOP
            computed := computed + 1;
            -- Its source may be gone in part: what is stored stays.
            CONTINUE WHEN reopened < moment - state.reaches;
            PERFORM store_usage_rollup(state.rollup, reopened, reopened + state.width);
        END LOOP;
    END LOOP;
    RETURN computed;
END
$$;

-- How far what is stored is behind: the age of the newest bucket, on TimescaleDB Community the time since each of the policies
-- that store buckets has succeeded. As long as nothing is stored, the age of the oldest usage.
CREATE FUNCTION usage_rollup_lag(moment TIMESTAMPTZ DEFAULT clock_timestamp()) RETURNS INTERVAL
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $$
DECLARE
    since TIMESTAMPTZ;
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        SELECT min(COALESCE(stats.last_successful_finish, '-infinity')) INTO since
        FROM timescaledb_information.continuous_aggregates AS rollups
            JOIN timescaledb_information.jobs ON jobs.proc_name = 'policy_refresh_continuous_aggregate'
                AND jobs.hypertable_schema = rollups.materialization_hypertable_schema
                AND jobs.hypertable_name = rollups.materialization_hypertable_name
            LEFT JOIN timescaledb_information.job_stats AS stats USING (job_id)
        WHERE rollups.view_schema = current_schema()
          AND rollups.view_name IN ('usage_minute', 'usage_hourly', 'usage_daily', 'usage_monthly');
    ELSE
        since := usage_rollup_watermark('usage_minute');
    END IF;
    IF since = '-infinity' THEN
        SELECT min(time) INTO since FROM usage_events;
    END IF;
    RETURN GREATEST(COALESCE(moment - since, INTERVAL '0'), INTERVAL '0');
END
$$;

DO $$
DECLARE
    definition RECORD;
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        FOR definition IN SELECT * FROM (VALUES
            ('usage_minute', '1 minute', INTERVAL '6 days'),
            ('usage_hourly', '1 hour', INTERVAL '28 days'),
            ('usage_daily', '1 day', INTERVAL '28 days'),
            ('usage_monthly', '1 month', INTERVAL '3 months')
        ) AS rollups (rollup, width, reaches) LOOP
            EXECUTE format('CREATE MATERIALIZED VIEW %I WITH (timescaledb.continuous, timescaledb.materialized_only = false)
                            AS %s WITH NO DATA', definition.rollup,
                           usage_rollup_query(definition.rollup,
                                              format('time_bucket(%L::INTERVAL, %I)', definition.width,
                                                     CASE definition.rollup WHEN 'usage_monthly' THEN 'bucket' ELSE 'time' END),
                                              'TRUE'));
            -- Only closed buckets are stored, and of them only those that changed cost anything.
            PERFORM add_continuous_aggregate_policy(definition.rollup::REGCLASS, start_offset => definition.reaches,
                                                    end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '1 minute');
        END LOOP;
        RETURN;
    END IF;

    INSERT INTO usage_rollup_horizon DEFAULT VALUES;
    INSERT INTO usage_rollup_state (rollup, width, reaches, at_once) VALUES
        ('usage_minute', '1 minute', '6 days', '1 hour'),
        ('usage_hourly', '1 hour', '28 days', '6 hours'),
        ('usage_daily', '1 day', '28 days', '1 day'),
        ('usage_monthly', '1 month', '1000 years', '1 month'); -- days are kept for ever
    FOR definition IN SELECT * FROM usage_rollup_state ORDER BY width LOOP
        EXECUTE format('CREATE TABLE %I AS %s', definition.rollup || '_closed',
                       usage_rollup_select(definition.rollup, '''infinity'''));
        IF definition.rollup IN ('usage_minute', 'usage_hourly') THEN
            EXECUTE format('ALTER TABLE %I ALTER bucket SET NOT NULL', definition.rollup || '_closed');
            PERFORM make_time_series((definition.rollup || '_closed')::NAME,
                                     CASE definition.rollup WHEN 'usage_minute' THEN INTERVAL '1 day' ELSE INTERVAL '1 month' END,
                                     INTERVAL '2 days', 'bucket');
        END IF;
        EXECUTE format('CREATE INDEX %I ON %I (bucket)', definition.rollup || '_closed_bucket', definition.rollup || '_closed');
        EXECUTE format('CREATE INDEX %I ON %I (org_id, bucket DESC)', definition.rollup || '_closed_org',
                       definition.rollup || '_closed');
        EXECUTE format('CREATE VIEW %I AS SELECT * FROM %I WHERE bucket < usage_rollup_watermark(%L) UNION ALL %s',
                       definition.rollup, definition.rollup || '_closed', definition.rollup,
                       usage_rollup_select(definition.rollup, format('usage_rollup_watermark(%L)', definition.rollup)));
    END LOOP;

    -- Runs for every late row: no settings of its own, which would cost more than what it does, so the schema is written
    -- into it. Rows come nearly in order of time: one setting of the transaction spares most of the notes.
    EXECUTE format($function$
        CREATE FUNCTION note_late_usage() RETURNS TRIGGER
            LANGUAGE plpgsql
        AS $body$
        DECLARE
            late TIMESTAMPTZ := date_bin('1 minute', CASE TG_OP WHEN 'DELETE' THEN OLD.time ELSE NEW.time END,
                                         TIMESTAMPTZ '2000-01-01 00:00:00+00');
        BEGIN
            IF extract(epoch FROM late)::TEXT IS DISTINCT FROM current_setting('mindweave.late_minute', true) THEN
                INSERT INTO %1$I.usage_rollup_notes VALUES (late);
                PERFORM set_config('mindweave.late_minute', extract(epoch FROM late)::TEXT, true);
            END IF;
            IF TG_OP = 'UPDATE' THEN
                INSERT INTO %1$I.usage_rollup_notes
                SELECT date_bin('1 minute', OLD.time, TIMESTAMPTZ '2000-01-01 00:00:00+00') WHERE OLD.time <> NEW.time;
            END IF;
            RETURN NULL;
        END
        $body$
    $function$, current_schema());
    CREATE TRIGGER note_late_usage AFTER INSERT ON usage_events
        FOR EACH ROW WHEN (NEW.time < clock_timestamp() - INTERVAL '2 minutes') EXECUTE FUNCTION note_late_usage();
    CREATE TRIGGER note_changed_usage AFTER UPDATE OR DELETE ON usage_events
        FOR EACH ROW EXECUTE FUNCTION note_late_usage();
END
$$;
