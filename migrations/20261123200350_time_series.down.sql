DROP FUNCTION make_time_series(NAME, INTERVAL);
DROP FUNCTION storage_engine();
