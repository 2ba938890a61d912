DROP TABLE admin_keys;
DROP TABLE api_keys;
DROP TABLE projects;
