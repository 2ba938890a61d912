-- Since when a table or rollup has every row that it ever had; NULL if it keeps them for ever. Whoever adds up what may
-- have been dropped in part asks first. On TimescaleDB Community its retention policies know, else time_series does.
CREATE FUNCTION kept_since(relation NAME, moment TIMESTAMPTZ DEFAULT now()) RETURNS TIMESTAMPTZ
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $$
DECLARE
    keep INTERVAL;
BEGIN
    IF storage_engine() = 'timescaledb' THEN
        -- A policy of a continuous aggregate may stand there under the name of the hypertable behind it.
        SELECT min((jobs.config ->> 'drop_after')::INTERVAL) INTO keep
        FROM timescaledb_information.jobs AS jobs
        WHERE jobs.proc_name = 'policy_retention'
          AND ((jobs.hypertable_schema, jobs.hypertable_name) = (current_schema(), kept_since.relation)
               OR (jobs.hypertable_schema, jobs.hypertable_name) IN (
                   SELECT rollups.materialization_hypertable_schema, rollups.materialization_hypertable_name
                   FROM timescaledb_information.continuous_aggregates AS rollups
                   WHERE (rollups.view_schema, rollups.view_name) = (current_schema(), kept_since.relation)));
    ELSE
        SELECT min(series.keep) INTO keep FROM time_series AS series
        WHERE series.relation IN (kept_since.relation, kept_since.relation || '_closed');
    END IF;
    RETURN moment - keep;
END
$$;
