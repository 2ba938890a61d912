DROP FUNCTION set_updated_at();
DROP FUNCTION only_bookkeeping_changed(JSONB, JSONB);
