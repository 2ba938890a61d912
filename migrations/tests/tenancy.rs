//! A tenant's transaction sees and changes what is its organization's, and nothing else.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod tenant_rows;

use serde_json::{Value, json};
use tenant_rows::{id, inserts};
use testkit::Database;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

/// Every table of tenants, and the end of the id of the row in it that each organization has. None refers to one
/// further down.
const ROWS: [(&str, char); 10] = [
    ("users", '1'),
    ("organizations", '2'),
    ("projects", '3'),
    ("org_members", '4'),
    ("api_keys", '5'),
    ("admin_keys", '6'),
    ("mcp_servers", '7'),
    ("mcp_tools", '8'),
    ("policies", '9'),
    ("subscriptions", 'b'),
];

/// What tenants have no right to, and what therefore needs no row security.
const NOT_OF_TENANTS: &[&str] = &[
    "audit_logs",
    "ingest_cursor",
    "ingest_dead_letters",
    "ingest_dedupe",
    "mcp_usage",
    "retention_floors",
    "schema_migrations",
    "sessions",
    "time_series",
    "upstream_objects",
    "upstream_totals",
    "usage_daily_closed",
    "usage_events",
    "usage_hourly_closed",
    "usage_minute_closed",
    "usage_monthly_closed",
    "usage_rollup_horizon",
    "usage_rollup_notes",
    "usage_rollup_reopened",
    "usage_rollup_state",
];

const A: &str = "a0000000-0000-0000-0000-000000000002";

/// The ids of all rows an organization has in a table.
fn ids(organization: char, table: &str) -> Vec<String> {
    match table {
        "policies" => vec![id(organization, '9'), id(organization, 'a')],
        _ => ROWS
            .iter()
            .filter(|(name, _)| *name == table)
            .map(|(_, end)| id(organization, *end))
            .collect(),
    }
}

/// Two organizations, of everything one or two each. The database goes last.
async fn tenants() -> (Client, Database) {
    let database = Database::migrated().await;
    let client = database.connect().await;
    for organization in ['a', 'b'] {
        client.batch_execute(&inserts(organization)).await.unwrap();
    }
    (client, database)
}

/// A transaction of the organization's, which is rolled back unless it is committed.
async fn begin<'a>(client: &'a mut Client, organization: &str) -> Transaction<'a> {
    let transaction = client.transaction().await.unwrap();
    let sql = format!(
        "SET LOCAL ROLE mindweave_tenant;
         SELECT set_config('app.current_org_id', '{organization}', true)"
    );
    transaction.batch_execute(&sql).await.unwrap();
    transaction
}

async fn visible(transaction: &Transaction<'_>, table: &str) -> Vec<String> {
    let sql = format!("SELECT id::text FROM {table} ORDER BY id");
    let rows = transaction.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// That organization `a` may do none of this.
async fn check_refused(client: &mut Client, changes: &[&str]) {
    for change in changes {
        let transaction = begin(client, A).await;
        let error = transaction.batch_execute(change).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{change}: {error:?}"
        );
    }
}

/// Which tables of ours fulfil a condition, in order of their names.
async fn tables(client: &Client, condition: &str) -> Vec<String> {
    let sql = format!(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND {condition} ORDER BY relname"
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn tenants_see_exactly_what_is_theirs() {
    let (mut client, _database) = tenants().await;
    for organization in ['a', 'b'] {
        let transaction = begin(&mut client, &id(organization, '2')).await;
        for (table, _) in ROWS {
            assert_eq!(
                visible(&transaction, table).await,
                ids(organization, table),
                "{table}"
            );
        }
    }
}

#[tokio::test]
async fn without_an_organization_there_is_nothing_to_see() {
    let (mut client, database) = tenants().await;
    // Empty, and on a connection that never set it.
    let transaction = begin(&mut client, "").await;
    let mut fresh = database.connect().await;
    let unset = fresh.transaction().await.unwrap();
    unset
        .batch_execute("SET LOCAL ROLE mindweave_tenant")
        .await
        .unwrap();
    for (table, _) in ROWS {
        for transaction in [&transaction, &unset] {
            assert_eq!(
                visible(transaction, table).await,
                Vec::<String>::new(),
                "{table}"
            );
        }
    }
}

#[tokio::test]
async fn tenants_change_their_own_and_no_other_rows() {
    let (mut client, _database) = tenants().await;
    for (table, end) in ROWS.into_iter().rev() {
        for (organization, expected) in [('b', 0), ('a', 1)] {
            let transaction = begin(&mut client, A).await;
            let id = id(organization, end);
            let column = match table {
                "org_members" => "role = 'viewer'",
                "subscriptions" => "plan = 'team'",
                _ => "name = 'new'",
            };
            let update = format!("UPDATE {table} SET {column} WHERE id = '{id}'");
            assert_eq!(
                transaction.execute(&update, &[]).await.unwrap(),
                expected,
                "{update}"
            );
            if table == "users" {
                continue; // nobody's alone to delete
            }
            let delete = format!("DELETE FROM {table} WHERE id = '{id}'");
            assert_eq!(
                transaction.execute(&delete, &[]).await.unwrap(),
                expected,
                "{delete}"
            );
        }
    }
}

/// Whoever makes a stranger a member sees a name and an address, and no more.
#[tokio::test]
async fn tenants_neither_read_nor_set_how_people_sign_in() {
    let (mut client, _database) = tenants().await;
    let adopt = format!(
        "INSERT INTO org_members (org_id, user_id) VALUES ('{A}', '{}')",
        id('b', '1')
    );
    let attempts = [
        "SELECT password_hash FROM users",
        "SELECT * FROM users",
        "UPDATE users SET password_hash = 'mine'",
        "UPDATE users SET email = 'mine'",
        "UPDATE users SET mfa_enabled = FALSE",
        "DELETE FROM users",
    ]
    .map(|attempt| format!("{adopt}; {attempt}"));
    check_refused(&mut client, &attempts.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_change_of_everything_ends_at_the_organization() {
    let (mut client, _database) = tenants().await;
    let transaction = begin(&mut client, A).await;
    transaction
        .batch_execute("DELETE FROM organizations")
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let transaction = begin(&mut client, &id('b', '2')).await;
    for (table, _) in ROWS {
        assert_eq!(visible(&transaction, table).await, ids('b', table));
    }
}

#[tokio::test]
async fn tenants_add_nothing_to_others() {
    let (mut client, _database) = tenants().await;
    let inserts = [
        "INSERT INTO organizations (name, slug) VALUES ('new', 'new')",
        "INSERT INTO projects (org_id, name, slug) VALUES ('b0000000-0000-0000-0000-000000000002', 'new', 'new')",
        "INSERT INTO org_members (org_id, user_id) VALUES
            ('b0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000001')",
        "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name) VALUES
            ('b0000000-0000-0000-0000-000000000003', 'a0000000-0000-0000-0000-000000000001', 'mw', 'new', 'new')",
        "INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES
            ('b0000000-0000-0000-0000-000000000002', 'owner', 'new', 'new')",
        "INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES (NULL, 'owner', 'new', 'new')",
        "INSERT INTO mcp_servers (project_id, registered_by, name, transport_type, transport_config) VALUES
            ('b0000000-0000-0000-0000-000000000003', 'a0000000-0000-0000-0000-000000000001', 'new', 'http', '{}')",
        "INSERT INTO mcp_tools (server_id, name, input_schema) VALUES
            ('b0000000-0000-0000-0000-000000000007', 'new', '{}')",
        "INSERT INTO policies (org_id, created_by, name, type, rules) VALUES
            ('b0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000001', 'new', 'usage', '{}')",
        "INSERT INTO policies (project_id, created_by, name, type, rules) VALUES
            ('b0000000-0000-0000-0000-000000000003', 'a0000000-0000-0000-0000-000000000001', 'new', 'usage', '{}')",
        "INSERT INTO policies (org_id, project_id, created_by, name, type, rules) VALUES
            ('a0000000-0000-0000-0000-000000000002', 'b0000000-0000-0000-0000-000000000003',
             'a0000000-0000-0000-0000-000000000001', 'new', 'usage', '{}')",
        "INSERT INTO policies (org_id, project_id, created_by, name, type, rules) VALUES
            ('b0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000003',
             'a0000000-0000-0000-0000-000000000001', 'new', 'usage', '{}')",
        "INSERT INTO subscriptions (org_id) VALUES ('b0000000-0000-0000-0000-000000000002')",
    ];
    check_refused(&mut client, &inserts).await;
}

#[tokio::test]
async fn tenants_give_nothing_away() {
    let (mut client, _database) = tenants().await;
    let moves = [
        "UPDATE organizations SET id = 'b0000000-0000-0000-0000-000000000002'",
        "UPDATE projects SET org_id = 'b0000000-0000-0000-0000-000000000002'",
        "UPDATE org_members SET org_id = 'b0000000-0000-0000-0000-000000000002'",
        "UPDATE api_keys SET project_id = 'b0000000-0000-0000-0000-000000000003'",
        "UPDATE admin_keys SET org_id = 'b0000000-0000-0000-0000-000000000002'",
        "UPDATE admin_keys SET org_id = NULL",
        "UPDATE mcp_servers SET project_id = 'b0000000-0000-0000-0000-000000000003'",
        "UPDATE mcp_tools SET server_id = 'b0000000-0000-0000-0000-000000000007'",
        "UPDATE policies SET org_id = 'b0000000-0000-0000-0000-000000000002'",
        "UPDATE policies SET project_id = 'b0000000-0000-0000-0000-000000000003'",
        "UPDATE subscriptions SET org_id = 'b0000000-0000-0000-0000-000000000002'",
    ];
    check_refused(&mut client, &moves).await;
}

#[tokio::test]
async fn tenants_make_members() {
    let (mut client, _database) = tenants().await;
    let transaction = begin(&mut client, A).await;
    let sql = "INSERT INTO users (id, email, name) VALUES ('a0000000-0000-0000-0000-00000000000c', 'new', 'new');
        INSERT INTO org_members (org_id, user_id) VALUES
            ('a0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-00000000000c')";
    transaction.batch_execute(sql).await.unwrap();
    assert_eq!(
        visible(&transaction, "users").await,
        [id('a', '1'), id('a', 'c')]
    );
}

/// A stranger who is invited isn't shown before they accept, and can't be changed.
#[tokio::test]
async fn tenants_invite_without_a_look_at_who_it_is() {
    let (mut client, _database) = tenants().await;
    let transaction = begin(&mut client, A).await;
    let sql = "INSERT INTO org_members (org_id, user_id, status)
        SELECT current_org_id(), invited_user(address), 'invited'
        FROM (VALUES ('b@acme.test'), ('new@acme.test')) AS _ (address)";
    assert_eq!(transaction.execute(sql, &[]).await.unwrap(), 2);
    assert_eq!(visible(&transaction, "users").await, [id('a', '1')]);
    let change = "UPDATE users SET name = 'mine'";
    assert_eq!(transaction.execute(change, &[]).await.unwrap(), 1);
    let accept = "UPDATE org_members SET status = 'active' WHERE status = 'invited'";
    assert_eq!(transaction.execute(accept, &[]).await.unwrap(), 2);
    assert_eq!(visible(&transaction, "users").await.len(), 3);
}

#[tokio::test]
async fn tenants_have_no_right_to_what_is_not_kept_apart() {
    let (mut client, _database) = tenants().await;
    for table in not_of_tenants(&client).await {
        let read = format!("SELECT FROM {table}");
        let write = format!("INSERT INTO {table} DEFAULT VALUES");
        let delete = format!("DELETE FROM {table}");
        let truncate = format!("TRUNCATE {table}");
        check_refused(&mut client, &[&read, &write, &delete, &truncate]).await;
    }
    check_refused(&mut client, &["TRUNCATE subscriptions"]).await;
}

/// Partitions included.
#[tokio::test]
async fn tenants_have_rights_to_their_tables_alone() {
    let (client, _database) = tenants().await;
    let any = "has_table_privilege('mindweave_tenant', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')";
    let mut expected = ROWS.map(|(table, _)| table).to_vec();
    expected.push("idempotency_keys");
    expected.sort_unstable();
    assert_eq!(tables(&client, any).await, expected);
}

#[tokio::test]
async fn tenants_have_idempotency_keys_of_their_own() {
    let (mut client, _database) = tenants().await;
    let insert = "INSERT INTO idempotency_keys (id, org_id, request) VALUES
        ('a', 'a0000000-0000-0000-0000-000000000002', ''), ('b', 'b0000000-0000-0000-0000-000000000002', ''), ('i', NULL, '')";
    client.execute(insert, &[]).await.unwrap();
    let transaction = begin(&mut client, A).await;
    let gone = "DELETE FROM idempotency_keys RETURNING id";
    let gone = transaction.query(gone, &[]).await.unwrap();
    let gone: Vec<Vec<u8>> = gone.iter().map(|row| row.get(0)).collect();
    assert_eq!(gone, [b"a"]);
    let foreign = "INSERT INTO idempotency_keys (id, org_id, request) VALUES ('n', 'b0000000-0000-0000-0000-000000000002', '')";
    let refused = transaction.execute(foreign, &[]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}

#[tokio::test]
async fn a_session_is_no_tenants_and_goes_with_its_membership() {
    let (mut client, _database) = tenants().await;
    let transaction = begin(&mut client, A).await;
    let removed = transaction.execute("DELETE FROM org_members", &[]).await;
    assert_eq!(removed.unwrap(), 1);
    transaction.commit().await.unwrap();
    let left = "SELECT array_agg(org_id::text) FROM sessions";
    let left: Vec<String> = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, [id('b', '2')]);
}

/// A table that is new has to be kept apart, or kept from tenants and named here.
#[tokio::test]
async fn every_table_of_tenants_has_row_security() {
    let (client, _database) = tenants().await;
    let open = tables(&client, "NOT relrowsecurity AND NOT relispartition").await;
    assert_eq!(open, not_of_tenants(&client).await);
}

/// Those of them that there are: continuous aggregates need no tables of ours for closed buckets.
async fn not_of_tenants(client: &Client) -> Vec<&'static str> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let mut present = Vec::new();
    for table in NOT_OF_TENANTS {
        if client.query_one(sql, &[table]).await.unwrap().get(0) {
            present.push(*table);
        }
    }
    present
}

/// A superuser would see everything anyhow: this owner is none.
#[tokio::test]
async fn the_owner_sees_everything() {
    let (mut client, _database) = tenants().await;
    let transaction = client.transaction().await.unwrap();
    // Goes with the transaction: roles are the server's, and other tests are at work on it.
    let mut sql =
        "CREATE ROLE tenancy_test_owner; GRANT USAGE ON SCHEMA public TO tenancy_test_owner;"
            .to_owned();
    for (table, _) in ROWS {
        sql.push_str(&format!("ALTER TABLE {table} OWNER TO tenancy_test_owner;"));
    }
    sql.push_str("SET LOCAL ROLE tenancy_test_owner");
    transaction.batch_execute(&sql).await.unwrap();
    for (table, _) in ROWS {
        let expected = [ids('a', table), ids('b', table)].concat();
        assert_eq!(visible(&transaction, table).await, expected, "{table}");
    }
}

/// What the log holds of a transaction of organization `a`'s.
async fn audited(client: &mut Client, changes: &str) -> Vec<Value> {
    let transaction = begin(client, A).await;
    transaction.batch_execute(changes).await.unwrap();
    let sql = "SELECT to_jsonb(row) FROM (
            SELECT action, resource_id, org_id, project_id FROM public.audit_logs WHERE time = now()
        ) AS row ORDER BY row.action, row.resource_id";
    transaction.batch_execute("RESET ROLE").await.unwrap();
    let rows = transaction.query(sql, &[]).await.unwrap();
    transaction.commit().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_tenants_do_is_told() {
    let (mut client, _database) = tenants().await;
    let told = audited(
        &mut client,
        "UPDATE mcp_tools SET name = 'new'; DELETE FROM projects",
    )
    .await;
    let row = |action: &str, end: char| {
        let (resource, project) = (id('a', end), id('a', '3'));
        json!({"action": action, "resource_id": resource, "org_id": A, "project_id": project})
    };
    let expected = [
        row("api_keys.delete", '5'),
        row("mcp_servers.delete", '7'),
        row("mcp_tools.delete", '8'),
        row("mcp_tools.update", '8'),
        row("policies.delete", '9'),
        row("projects.delete", '3'),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn tenants_forge_nothing() {
    let (mut client, _database) = tenants().await;
    let forgeries = [
        "INSERT INTO audit_logs (actor_type, action, resource_type) VALUES ('system', 'users.delete', 'users')",
        "UPDATE audit_logs SET actor_type = 'system'",
        "DELETE FROM audit_logs",
        "ALTER TABLE projects DISABLE TRIGGER audit_projects",
        "DROP TRIGGER audit_projects ON projects",
        "SET LOCAL session_replication_role = 'replica'",
        "CREATE TEMPORARY TABLE users (id UUID, org_id UUID) ON COMMIT DROP;
         CREATE TRIGGER forge AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION public.audit_trigger_func()",
    ];
    check_refused(&mut client, &forgeries).await;
}

#[tokio::test]
async fn temporary_tables_divert_nothing() {
    let (mut client, _database) = tenants().await;
    let told = audited(
        &mut client,
        "CREATE TEMPORARY TABLE audit_logs (LIKE public.projects) ON COMMIT DROP;
         CREATE TEMPORARY TABLE projects AS SELECT id, 'b0000000-0000-0000-0000-000000000002'::UUID AS org_id
             FROM public.projects;
         CREATE TEMPORARY TABLE mcp_servers AS SELECT id, 'b0000000-0000-0000-0000-000000000003'::UUID AS project_id
             FROM public.mcp_servers;
         UPDATE public.mcp_tools SET name = 'new'",
    )
    .await;
    let expected = json!({
        "action": "mcp_tools.update", "resource_id": id('a', '8'), "org_id": A, "project_id": id('a', '3'),
    });
    assert_eq!(told, [expected]);
}
