DROP FUNCTION make_partitions_ahead();
DROP FUNCTION make_partition(NAME, TIMESTAMPTZ, TIMESTAMPTZ);
DROP FUNCTION drop_time_series(NAME);
DROP FUNCTION make_time_series(NAME, INTERVAL, INTERVAL, NAME);
DROP TABLE time_series;
DROP FUNCTION storage_engine();
