-- As they were.
CREATE OR REPLACE FUNCTION make_partition(relation NAME, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS BOOLEAN
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    -- Read in UTC, whatever the session's time zone is: all of them must agree on one name.
    name TEXT := relation || to_char(since AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
    fallback TEXT := relation || '_default';
    divided_by NAME := (SELECT series.divided_by FROM time_series AS series WHERE series.relation = make_partition.relation);
BEGIN
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, relation);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', fallback);
    -- Append-only tables refuse to have rows moved; under the lock nobody else can use the gap.
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', fallback);
    EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %3$I >= $1 AND %3$I < $2 RETURNING *)
                    INSERT INTO %2$I SELECT * FROM moved', fallback, name, divided_by) USING since, until;
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', fallback);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', relation, name, since, until);
    -- Triggers of rows come with the attachment, those of statements don't.
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation::TEXT::REGCLASS AND tgname = 'never_truncate') THEN
        EXECUTE format('CREATE TRIGGER never_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    END IF;
    RETURN TRUE;
END
$$;
CREATE OR REPLACE FUNCTION make_partitions_ahead() RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '5s'
AS $$
DECLARE
    series time_series;
    unit TEXT;
    starts TIMESTAMPTZ[];
    since TIMESTAMPTZ;
    made INTEGER := 0;
BEGIN
    IF storage_engine() <> 'postgresql' THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('mindweave.partitions', 0));
    FOR series IN SELECT * FROM time_series ORDER BY relation LOOP
        unit := CASE WHEN series.every < INTERVAL '1 month' THEN 'day' ELSE 'month' END;
        -- All of them first: a table can't be altered under a query that still reads it.
        EXECUTE format('SELECT array_agg(since ORDER BY since) FROM (
                            SELECT date_trunc(%1$L, %3$I) AS since FROM %2$I WHERE %3$I BETWEEN $1 AND $2
                            UNION SELECT generate_series(date_trunc(%1$L, now()), now() + $3, $4)
                        ) AS starts',
                       unit, series.relation || '_default', series.divided_by)
        INTO starts
        USING now() - INTERVAL '35 days', now() + series.ahead, series.ahead, series.every;
        FOREACH since IN ARRAY starts LOOP
            made := made + make_partition(series.relation, since, since + series.every)::INTEGER;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
