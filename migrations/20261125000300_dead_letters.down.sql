DROP TABLE ingest_dead_letters;
