DROP TRIGGER notify_truncate ON admin_keys;
DROP TRIGGER notify_change ON admin_keys;
DROP TRIGGER notify_truncate ON api_keys;
DROP TRIGGER notify_change ON api_keys;
DROP TRIGGER notify_truncate ON projects;
DROP TRIGGER notify_change ON projects;
DROP TRIGGER notify_truncate ON organizations;
DROP TRIGGER notify_change ON organizations;
DROP FUNCTION notify_change();
