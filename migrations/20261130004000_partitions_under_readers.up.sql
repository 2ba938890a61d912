-- A statement finds out which partitions there are before it waits for the default one's lock: one that waited while rows moved
-- out of it then looked for them there alone, and saw none. Now it waits for the table itself, before it finds out.

-- As it was, but for the table's lock.
CREATE OR REPLACE FUNCTION make_partition(relation NAME, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS BOOLEAN
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
DECLARE
    -- Read in UTC, whatever the session's time zone is: all of them must agree on one name.
    name TEXT := relation || to_char(since AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
    fallback TEXT := relation || '_default';
    divided_by NAME := (SELECT series.divided_by FROM time_series AS series WHERE series.relation = make_partition.relation);
    is_waiting BOOLEAN;
BEGIN
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN FALSE;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %1$I WHERE %2$I >= $1 AND %2$I < $2)', fallback, divided_by)
    INTO is_waiting USING since, until;
    IF is_waiting THEN
        EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', relation);
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

-- As it was, but for the order of the locks: the table's is never asked for with the default partition's in hand, which a reader
-- of the table may be waiting for.
CREATE OR REPLACE FUNCTION make_partitions_ahead() RETURNS INTEGER
    LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '5s'
AS $$
DECLARE
    series time_series;
    unit TEXT;
    missing TEXT;
    starts TIMESTAMPTZ[];
    since TIMESTAMPTZ;
    is_waiting BOOLEAN;
    are_waiting BOOLEAN;
    made INTEGER := 0;
BEGIN
    IF storage_engine() <> 'postgresql' THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('mindweave.partitions', 0));
    FOR series IN SELECT * FROM time_series ORDER BY relation LOOP
        unit := CASE WHEN series.every < INTERVAL '1 month' THEN 'day' ELSE 'month' END;
        -- All of them first: a table can't be altered under a query that still reads it.
        missing := format('SELECT array_agg(since ORDER BY since), bool_or(is_waiting) FROM (
                               SELECT since, bool_or(is_waiting) AS is_waiting FROM (
                                   SELECT date_trunc(%1$L, %3$I) AS since, TRUE AS is_waiting
                                   FROM %2$I WHERE %3$I BETWEEN $1 AND $2
                                   UNION ALL
                                   SELECT generate_series(date_trunc(%1$L, now()), now() + $3, $4), FALSE
                               ) AS times GROUP BY since
                           ) AS starts
                           WHERE to_regclass(quote_ident(%4$L || to_char(since, ''"_p"YYYYMMDD''))) IS NULL',
                          unit, series.relation || '_default', series.divided_by, series.relation);
        EXECUTE missing INTO starts, is_waiting
        USING now() - INTERVAL '35 days', now() + series.ahead, series.ahead, series.every;
        CONTINUE WHEN starts IS NULL;
        IF is_waiting THEN
            EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', series.relation);
        END IF;
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', series.relation || '_default');
        EXECUTE missing INTO starts, are_waiting
        USING now() - INTERVAL '35 days', now() + series.ahead, series.ahead, series.every;
        -- Rows that came in between are for the next call.
        CONTINUE WHEN are_waiting AND NOT is_waiting;
        FOREACH since IN ARRAY starts LOOP
            made := made + make_partition(series.relation, since, since + series.every)::INTEGER;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
