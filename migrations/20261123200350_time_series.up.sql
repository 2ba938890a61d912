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

-- Divides a new, empty table by its column `time`. To be called before it has indexes or keys: a unique one has to
-- contain `time`. Without TimescaleDB all rows are in the default partition until there are others. TimescaleDB's advice
-- on types is kept out of the log: columns of limited length are meant.
CREATE FUNCTION make_time_series(relation NAME, every INTERVAL) RETURNS VOID
    LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = 'error'
AS $$
BEGIN
    IF storage_engine() <> 'postgresql' THEN
        PERFORM create_hypertable(relation::TEXT::REGCLASS, 'time'::NAME,
                                  chunk_time_interval => every, create_default_indexes => FALSE);
        RETURN;
    END IF;
    -- A table becomes a partitioned one only by being made again.
    EXECUTE format('ALTER TABLE %I RENAME TO making_time_series', relation);
    EXECUTE format('CREATE TABLE %I (LIKE making_time_series INCLUDING ALL) PARTITION BY RANGE (time)', relation);
    DROP TABLE making_time_series;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', relation || '_default', relation);
END
$$;
