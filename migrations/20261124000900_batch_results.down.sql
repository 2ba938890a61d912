DROP TABLE upstream_objects;
DROP FUNCTION notify_upstream_objects();
DROP FUNCTION forget_dedupe_keys();
DROP TABLE ingest_dedupe;
