DROP INDEX idx_upstream_objects_open;

ALTER TABLE upstream_objects DROP COLUMN polled_at, DROP COLUMN settled_at;
