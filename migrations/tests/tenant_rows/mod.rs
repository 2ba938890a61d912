//! An organization with a row in every relational table, two in `policies`: what is to be audited and kept apart.
//!
//! Every secret in it holds the word `planted`.

/// With `~` for the first digit of each id.
const INSERTS: &str = "
    INSERT INTO users (id, email, name) VALUES ('~0000000-0000-0000-0000-000000000001', '~@acme.test', 'old');
    INSERT INTO organizations (id, name, slug) VALUES ('~0000000-0000-0000-0000-000000000002', 'old', 'acme-~');
    INSERT INTO projects (id, org_id, name, slug) VALUES
        ('~0000000-0000-0000-0000-000000000003', '~0000000-0000-0000-0000-000000000002', 'old', 'main');
    INSERT INTO org_members (id, org_id, user_id) VALUES
        ('~0000000-0000-0000-0000-000000000004', '~0000000-0000-0000-0000-000000000002',
         '~0000000-0000-0000-0000-000000000001');
    INSERT INTO api_keys (id, project_id, created_by, key_prefix, key_hash, name) VALUES
        ('~0000000-0000-0000-0000-000000000005', '~0000000-0000-0000-0000-000000000003',
         '~0000000-0000-0000-0000-000000000001', 'mw_sk_live_', 'planted ~', 'old');
    INSERT INTO admin_keys (id, org_id, role, name, key_hash) VALUES
        ('~0000000-0000-0000-0000-000000000006', '~0000000-0000-0000-0000-000000000002', 'admin', 'old', 'planted ~');
    INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config, environment) VALUES
        ('~0000000-0000-0000-0000-000000000007', '~0000000-0000-0000-0000-000000000003',
         '~0000000-0000-0000-0000-000000000001', 'old', 'http', '{\"url\": \"planted\"}', '{\"TOKEN\": \"planted\"}');
    INSERT INTO mcp_tools (id, server_id, name, input_schema) VALUES
        ('~0000000-0000-0000-0000-000000000008', '~0000000-0000-0000-0000-000000000007', 'old', '{}');
    INSERT INTO policies (id, project_id, created_by, name, type, rules) VALUES
        ('~0000000-0000-0000-0000-000000000009', '~0000000-0000-0000-0000-000000000003',
         '~0000000-0000-0000-0000-000000000001', 'old', 'usage', '{}');
    INSERT INTO policies (id, org_id, created_by, name, type, rules) VALUES
        ('~0000000-0000-0000-0000-00000000000a', '~0000000-0000-0000-0000-000000000002',
         '~0000000-0000-0000-0000-000000000001', 'old', 'usage', '{}');
    INSERT INTO subscriptions (id, org_id) VALUES
        ('~0000000-0000-0000-0000-00000000000b', '~0000000-0000-0000-0000-000000000002');
    INSERT INTO sessions (id, org_id, user_id, token_hash, user_agent, expires_at) VALUES
        ('~0000000-0000-0000-0000-00000000000c', '~0000000-0000-0000-0000-000000000002',
         '~0000000-0000-0000-0000-000000000001', 'planted ~', 'old', now() + INTERVAL '12 hours');
";

/// The id of an organization's row.
pub(crate) fn id(organization: char, end: char) -> String {
    format!("{organization}0000000-0000-0000-0000-00000000000{end}")
}

/// Statements that insert an organization with all that is its own.
pub(crate) fn inserts(organization: char) -> String {
    INSERTS.replace('~', &organization.to_string())
}
