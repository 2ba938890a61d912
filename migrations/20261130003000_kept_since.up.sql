-- Since when a table or rollup has every row that it ever had; NULL if it has them since ever. Whoever adds up what may
-- have been dropped in part asks first.

-- What was dropped under a shorter retention than there is now stays dropped.
CREATE TABLE retention_floors (
    relation NAME PRIMARY KEY,
    complete_since TIMESTAMPTZ NOT NULL -- something before may have been dropped when its retention was changed
);

-- How long it keeps its rows at least; NULL is for ever. On TimescaleDB Community its retention policies know, else
-- time_series does.
CREATE FUNCTION retention_of(relation NAME) RETURNS INTERVAL
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $$
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        -- A policy of a continuous aggregate may stand there under the name of the hypertable behind it.
        RETURN (SELECT min((jobs.config ->> 'drop_after')::INTERVAL)
        FROM timescaledb_information.jobs AS jobs
        WHERE jobs.proc_name = 'policy_retention'
          AND ((jobs.hypertable_schema, jobs.hypertable_name) = (current_schema(), retention_of.relation)
               OR (jobs.hypertable_schema, jobs.hypertable_name) IN (
                   SELECT rollups.materialization_hypertable_schema, rollups.materialization_hypertable_name
                   FROM timescaledb_information.continuous_aggregates AS rollups
                   WHERE (rollups.view_schema, rollups.view_name) = (current_schema(), retention_of.relation))));
    END IF;
    RETURN (SELECT min(series.keep) FROM time_series AS series
            WHERE series.relation IN (retention_of.relation, retention_of.relation || '_closed'));
END
$$;

CREATE FUNCTION kept_since(relation NAME, moment TIMESTAMPTZ DEFAULT now()) RETURNS TIMESTAMPTZ
    LANGUAGE sql STABLE SET search_path FROM CURRENT
AS $$
    -- Of two moments one of which is NULL, the other one is the greatest.
    SELECT greatest(moment - retention_of(kept_since.relation),
                    (SELECT floors.complete_since FROM retention_floors AS floors
                     WHERE floors.relation = kept_since.relation))
$$;

-- As it was, and remembers what may have been dropped by now.
CREATE OR REPLACE FUNCTION set_retention(relation NAME, keep INTERVAL) RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = 'warning'
AS $$
DECLARE
    dropped_before TIMESTAMPTZ;
BEGIN
    IF relation = 'usage_events' AND keep < INTERVAL '30 days' THEN
        RAISE EXCEPTION 'usage_events can''t be kept for less than 30 days: rollups count what arrives up to 28 days late'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF relation NOT IN ('usage_events', 'mcp_usage', 'audit_logs', 'usage_minute', 'usage_hourly') THEN
        RAISE EXCEPTION '% has no retention: it is one of usage_events, mcp_usage, audit_logs, usage_minute and usage_hourly', relation
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Nothing is dropped between here and the end of this transaction.
    PERFORM pg_advisory_xact_lock(hashtextextended('mindweave.partitions', 0));
    dropped_before := clock_timestamp() - retention_of(relation);
    IF dropped_before IS NOT NULL THEN
        INSERT INTO retention_floors AS floors VALUES (set_retention.relation, dropped_before)
        ON CONFLICT ON CONSTRAINT retention_floors_pkey DO UPDATE
            SET complete_since = greatest(floors.complete_since, excluded.complete_since);
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
