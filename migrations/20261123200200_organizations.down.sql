DROP TABLE org_members;
DROP TABLE organizations;
DROP TABLE users;
