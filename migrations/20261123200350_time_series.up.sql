-- Tables that grow with time, on whatever the server has: hypertables where TimescaleDB is loaded, else declarative
-- partitions. Which of them is decided once, here and when each table is made.

-- The library is loaded if one of its settings exists: installed but not preloaded, CREATE EXTENSION would end the
-- connection. The extension stays when migrations are undone, as roles do: it is the server's, not the schema's.
DO $$
BEGIN
    IF current_setting('timescaledb.max_background_workers', true) IS NOT NULL THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    ELSIF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        RAISE LOG 'TimescaleDB is installed but not in shared_preload_libraries: going on with plain PostgreSQL';
    END IF;
END
$$;

-- 'timescaledb' (Community: compression, policies, continuous aggregates), 'timescaledb-apache' (hypertables only) or
-- 'postgresql'.
CREATE FUNCTION storage_engine() RETURNS TEXT
    LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb') THEN 'postgresql'
        WHEN pg_catalog.current_setting('timescaledb.license', true) = 'timescale' THEN 'timescaledb'
        ELSE 'timescaledb-apache'
    END
$$;

-- Every table divided by time.
CREATE TABLE time_series (
    relation NAME PRIMARY KEY,
    divided_by NAME NOT NULL, -- the column of its times
    every INTERVAL NOT NULL, -- what a partition or chunk covers
    ahead INTERVAL NOT NULL, -- how far from now on there shall be partitions
    keep INTERVAL -- how old a row gets at least before its partition or chunk is dropped; NULL: never, or by TimescaleDB's policy
);

-- Divides a new, empty table by its column `time` or another. To be called before it has indexes or keys: a unique one has
-- to contain the column. TimescaleDB's advice on types is kept out of the log: columns of limited length are meant.
CREATE FUNCTION make_time_series(relation NAME, every INTERVAL, ahead INTERVAL, divided_by NAME DEFAULT 'time') RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = 'error'
AS $$
BEGIN
    INSERT INTO time_series VALUES (relation, divided_by, every, ahead);
    IF storage_engine() <> 'postgresql' THEN
        PERFORM create_hypertable(relation::TEXT::REGCLASS, divided_by,
                                  chunk_time_interval => every, create_default_indexes => FALSE);
        RETURN;
    END IF;
    -- A table becomes a partitioned one only by being made again.
    EXECUTE format('ALTER TABLE %I RENAME TO making_time_series', relation);
    EXECUTE format('CREATE TABLE %I (LIKE making_time_series INCLUDING ALL) PARTITION BY RANGE (%I)',
                   relation, divided_by);
    DROP TABLE making_time_series;
    -- Takes what no other partition does, so that a row is never refused for its time.
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', relation || '_default', relation);
END
$$;

-- Undoes it together with the table.
CREATE FUNCTION drop_time_series(relation NAME) RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    EXECUTE format('DROP TABLE %I', relation);
    DELETE FROM time_series WHERE time_series.relation = drop_time_series.relation;
END
$$;

-- Makes a partition for [from, to) unless there is one. Rows that were waiting for it in the default partition move into
-- it in the same transaction, so no reader ever sees them twice or not at all. Writers of other times don't wait.
CREATE FUNCTION make_partition(relation NAME, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS BOOLEAN
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

-- Makes the partitions from now on as far ahead as each table wants them, and those of the last weeks' rows that found
-- none when they came; answers how many there were to make. Hypertables make their chunks themselves. One at a time, and
-- giving up rather than keeping others waiting: any later call makes up for it.
CREATE FUNCTION make_partitions_ahead() RETURNS INTEGER
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
