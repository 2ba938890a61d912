//! Who changed what is written down, whoever it was and however it was done, and stays as it was written.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod tenant_rows;

use serde_json::{Value, json};
use tenant_rows::{id, inserts};
use testkit::Database;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Every row of an organization: its table, the end of its id, and whether an organization and a project own it.
/// None refers to one further down.
const ROWS: [(&str, char, bool, bool); 12] = [
    ("users", '1', false, false),
    ("organizations", '2', true, false),
    ("projects", '3', true, true),
    ("org_members", '4', true, false),
    ("api_keys", '5', true, true),
    ("admin_keys", '6', true, false),
    ("mcp_servers", '7', true, true),
    ("mcp_tools", '8', true, true),
    ("policies", '9', true, true),
    ("policies", 'a', true, false),
    ("subscriptions", 'b', true, false),
    ("sessions", 'c', true, false),
];

/// A change of each secret there is, and of nothing else.
const SECRETS: [(&str, &str); 10] = [
    ("users", "password_hash = 'planted anew'"),
    ("users", "mfa_secret = 'planted anew'"),
    ("users", "mfa_backup_codes = ARRAY['planted anew']"),
    (
        "organizations",
        r#"sso_config = '{"secret": "planted anew"}'"#,
    ),
    ("api_keys", "key_hash = 'planted anew'"),
    ("admin_keys", "key_hash = 'planted anew'"),
    ("org_members", "invitation_hash = 'planted anew'"),
    ("sessions", "token_hash = 'planted anew'"),
    (
        "mcp_servers",
        r#"environment = '{"TOKEN": "planted anew"}'"#,
    ),
    (
        "mcp_servers",
        r#"transport_config = '{"url": "planted anew"}'"#,
    ),
];

/// An empty database; it goes last.
async fn empty() -> (Client, Database) {
    let database = Database::migrated().await;
    (database.connect().await, database)
}

/// One with organization `a` in it.
async fn tenant() -> (Client, Database) {
    let (client, database) = empty().await;
    client.batch_execute(&inserts('a')).await.unwrap();
    (client, database)
}

/// What a transaction leaves in the log.
async fn audited(client: &mut Client, changes: &str) -> Vec<Value> {
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(changes).await.unwrap();
    let sql = "SELECT to_jsonb(row) FROM public.audit_logs AS row WHERE time = now() ORDER BY action, resource_id";
    let rows = transaction.query(sql, &[]).await.unwrap();
    transaction.commit().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The same of a transaction that leaves a single row.
async fn audited_once(client: &mut Client, changes: &str) -> Value {
    let mut rows = audited(client, changes).await;
    assert_eq!(rows.len(), 1, "{changes}: {rows:?}");
    rows.remove(0)
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn pick(row: &Value, columns: &[&str]) -> Value {
    columns
        .iter()
        .map(|column| ((*column).to_owned(), row[*column].clone()))
        .collect()
}

/// Whose, what and which.
fn told(row: &Value) -> Value {
    let columns = [
        "action",
        "resource_type",
        "resource_id",
        "org_id",
        "project_id",
    ];
    pick(row, &columns)
}

/// What `told` is to say of the verb's use on each of an organization's rows.
fn expected(organization: char, verb: &str) -> Vec<Value> {
    ROWS.map(|(table, end, has_org, has_project)| {
        json!({
            "action": format!("{table}.{verb}"),
            "resource_type": table,
            "resource_id": id(organization, end),
            "org_id": has_org.then(|| id(organization, '2')),
            "project_id": has_project.then(|| id(organization, '3')),
        })
    })
    .to_vec()
}

fn change_of(table: &str) -> (&'static str, Value) {
    match table {
        "org_members" => (
            "role = 'viewer'",
            json!({"role": {"old": "member", "new": "viewer"}}),
        ),
        "subscriptions" => (
            "plan = 'team'",
            json!({"plan": {"old": "free", "new": "team"}}),
        ),
        "sessions" => (
            "user_agent = 'new'",
            json!({"user_agent": {"old": "old", "new": "new"}}),
        ),
        _ => (
            "name = 'new'",
            json!({"name": {"old": "old", "new": "new"}}),
        ),
    }
}

#[tokio::test]
async fn creations_tell_whose_and_what() {
    let (mut client, _database) = empty().await;
    let rows = audited(&mut client, &inserts('a')).await;
    let told: Vec<Value> = rows.iter().map(told).collect();
    for row in expected('a', "create") {
        assert!(told.contains(&row), "{row} in {told:?}");
    }
    assert_eq!(told.len(), ROWS.len());
    for row in rows {
        let created = &row["changes"]["created"];
        assert_eq!(created["id"], row["resource_id"]);
        assert_eq!(row["sensitive"], false);
    }
}

#[tokio::test]
async fn updates_tell_what_changed_and_nothing_else() {
    let (mut client, _database) = tenant().await;
    for ((table, end, ..), expected) in ROWS.into_iter().zip(expected('a', "update")) {
        let (change, changes) = change_of(table);
        let sql = format!("UPDATE {table} SET {change} WHERE id = '{}'", id('a', end));
        let row = audited_once(&mut client, &sql).await;
        assert_eq!(told(&row), expected);
        assert_eq!(
            pick(&row, &["changes", "sensitive"]),
            json!({"changes": changes, "sensitive": false})
        );
    }
}

#[tokio::test]
async fn deletions_tell_what_there_was() {
    let (mut client, _database) = tenant().await;
    for ((table, end, ..), expected) in ROWS.into_iter().zip(expected('a', "delete")).rev() {
        let sql = format!("DELETE FROM {table} WHERE id = '{}'", id('a', end));
        let row = audited_once(&mut client, &sql).await;
        assert_eq!(told(&row), expected);
        assert_eq!(row["changes"]["deleted"]["id"], id('a', end));
    }
}

#[tokio::test]
async fn the_transaction_says_who_it_is() {
    let (mut client, _database) = tenant().await;
    let settings = [
        ("current_user_id", "c0000000-0000-0000-0000-000000000001"),
        ("actor_ip", "192.0.2.1"),
        ("actor_user_agent", "curl/8"),
        ("request_id", "c0000000-0000-0000-0000-000000000002"),
        ("current_key_type", "session"),
        ("current_key_id", "c0000000-0000-0000-0000-000000000003"),
    ]
    .map(|(name, value)| format!("SELECT set_config('app.{name}', '{value}', true);"))
    .concat();
    let columns = [
        "actor_type",
        "actor_id",
        "actor_ip",
        "actor_user_agent",
        "request_id",
        "actor_key_type",
        "actor_key_id",
    ];
    for actor in ["user", "api_key", "system", "webhook"] {
        let sql = format!(
            "SELECT set_config('app.actor_type', '{actor}', true); {settings}
             UPDATE projects SET name = '{actor}'"
        );
        let row = audited_once(&mut client, &sql).await;
        let expected = json!({
            "actor_type": actor,
            "actor_id": "c0000000-0000-0000-0000-000000000001",
            "actor_ip": "192.0.2.1",
            "actor_user_agent": "curl/8",
            "request_id": "c0000000-0000-0000-0000-000000000002",
            "actor_key_type": "session",
            "actor_key_id": "c0000000-0000-0000-0000-000000000003",
        });
        assert_eq!(pick(&row, &columns), expected);
    }

    let nobody = json!({
        "actor_type": "system", "actor_id": null, "actor_ip": null, "actor_user_agent": null, "request_id": null,
        "actor_key_type": null, "actor_key_id": null,
    });
    // By now this session's settings are empty rather than unset.
    let row = audited_once(&mut client, "UPDATE projects SET name = 'nobody'").await;
    assert_eq!(pick(&row, &columns), nobody);
}

#[tokio::test]
async fn without_settings_the_system_did_it() {
    let (mut client, _database) = empty().await;
    for row in audited(&mut client, &inserts('a')).await {
        assert_eq!(
            pick(&row, &["actor_type", "actor_id", "request_id"]),
            json!({"actor_type": "system", "actor_id": null, "request_id": null})
        );
    }
}

#[tokio::test]
async fn what_belongs_to_nobody_is_put_to_the_organization_at_work() {
    let (mut client, _database) = tenant().await;
    let work =
        "SELECT set_config('app.current_org_id', 'c0000000-0000-0000-0000-000000000002', true);";
    for (change, expected) in [
        (
            "UPDATE users SET name = 'new'",
            "c0000000-0000-0000-0000-000000000002",
        ),
        (
            "INSERT INTO admin_keys (role, name, key_hash) VALUES ('admin', 'new', 'new')",
            "c0000000-0000-0000-0000-000000000002",
        ),
        (
            "UPDATE projects SET name = 'new'",
            "a0000000-0000-0000-0000-000000000002",
        ),
    ] {
        let row = audited_once(&mut client, &format!("{work} {change}")).await;
        assert_eq!(row["org_id"], expected, "{change}");
    }
}

#[tokio::test]
async fn what_was_done_has_a_verb() {
    let (mut client, _database) = tenant().await;
    let changes = [
        (
            "api_keys",
            "status = 'revoked', revoked_at = now()",
            "revoke",
        ),
        ("api_keys", "status = 'expired'", "expire"),
        ("api_keys", "status = 'active'", "update"),
        ("admin_keys", "status = 'revoked'", "revoke"),
        (
            "mcp_servers",
            "status = 'approved', approved_at = now()",
            "approve",
        ),
        ("mcp_servers", "status = 'rejected'", "reject"),
        ("mcp_servers", "status = 'deprecated'", "deprecate"),
        ("projects", "status = 'paused'", "pause"),
        ("projects", "status = 'archived'", "archive"),
        ("organizations", "status = 'suspended'", "suspend"),
        ("users", "status = 'suspended'", "suspend"),
        ("org_members", "status = 'invited'", "update"),
        (
            "org_members",
            "status = 'active', accepted_at = now()",
            "accept",
        ),
        ("org_members", "status = 'suspended'", "suspend"),
        ("org_members", "status = 'active'", "update"),
        ("subscriptions", "status = 'canceled'", "cancel"),
        ("users", "deleted_at = now()", "delete"),
        ("users", "deleted_at = NULL", "restore"),
        ("organizations", "deleted_at = now()", "delete"),
        ("organizations", "deleted_at = NULL", "restore"),
        (
            "projects",
            "deleted_at = now(), status = 'active'",
            "delete",
        ),
        ("projects", "name = 'while deleted'", "update"),
        ("projects", "deleted_at = NULL", "restore"),
        ("mcp_servers", "deleted_at = now()", "delete"),
        ("mcp_servers", "deleted_at = NULL", "restore"),
    ];
    for (table, change, verb) in changes {
        let row = audited_once(&mut client, &format!("UPDATE {table} SET {change}")).await;
        assert_eq!(row["action"], format!("{table}.{verb}"), "{change}");
    }
    let disabled = audited(&mut client, "UPDATE policies SET status = 'disabled'").await;
    for row in &disabled {
        assert_eq!(row["action"], "policies.disable");
    }
    assert_eq!(disabled.len(), 2);
}

#[tokio::test]
async fn a_change_of_a_secret_alone_is_told_without_it() {
    let (mut client, _database) = tenant().await;
    for (table, change) in SECRETS {
        let row = audited_once(&mut client, &format!("UPDATE {table} SET {change}")).await;
        let expected =
            json!({"action": format!("{table}.update"), "changes": {}, "sensitive": true});
        assert_eq!(
            pick(&row, &["action", "changes", "sensitive"]),
            expected,
            "{change}"
        );
    }
}

#[tokio::test]
async fn secrets_are_nowhere_in_the_log() {
    let (client, _database) = tenant().await;
    for (table, change) in SECRETS {
        let sql = format!("UPDATE {table} SET {change}, created_at = now()");
        client.batch_execute(&sql).await.unwrap();
    }
    // A row that is born with secrets, and one of each that dies with them.
    let sql = "INSERT INTO users (email, name, password_hash, mfa_secret, mfa_backup_codes)
            VALUES ('new', 'new', 'planted', 'planted', ARRAY['planted']);
        INSERT INTO organizations (name, slug, sso_config) VALUES ('new', 'new', '{\"secret\": \"planted\"}');
        DELETE FROM organizations;
        DELETE FROM users";
    client.batch_execute(sql).await.unwrap();
    let holding = |text: &str| {
        format!("SELECT count(*) FROM audit_logs AS row WHERE row::text LIKE '%{text}%'")
    };
    assert_eq!(count(&client, &holding("planted")).await, 0);
    assert_ne!(count(&client, &holding("acme.test")).await, 0);
}

/// Whoever reads the log of an organization learns nothing of an address but that it was invited.
#[tokio::test]
async fn who_is_invited_is_told_by_address_alone() {
    let (mut client, _database) = tenant().await;
    let (org, user) = (id('a', '2'), id('a', '1'));
    let invite = format!(
        "DELETE FROM org_members; SELECT set_config('app.current_org_id', '{org}', true);
         INSERT INTO org_members (org_id, user_id, status, invited_email)
         SELECT '{org}', invited_user(address), 'invited', address FROM (VALUES ('a@acme.test'), ('new@acme.test')) AS _ (address)"
    );
    let rows = audited(&mut client, &invite).await;
    let of_invited = rows
        .iter()
        .filter(|row| row["action"] == "org_members.create");
    let created: Vec<_> = of_invited.map(|row| &row["changes"]["created"]).collect();
    assert_eq!(created.len(), 2);
    for (created, address) in created.iter().zip(["a@acme.test", "new@acme.test"]) {
        assert!(created.get("user_id").is_none(), "{created}");
        assert!(
            rows.iter()
                .any(|row| row["changes"]["created"]["invited_email"] == address)
        );
    }
    // One was there before; that the other was made is in nobody's log.
    let made: Vec<_> = rows
        .iter()
        .filter(|row| row["action"] == "users.create")
        .collect();
    assert_eq!(made.len(), 1, "{rows:?}");
    assert_eq!(made[0]["org_id"], Value::Null);
    let accept = format!("UPDATE org_members SET status = 'active' WHERE user_id = '{user}'");
    let row = audited_once(&mut client, &accept).await;
    assert_eq!(row["action"], "org_members.accept");
    assert_eq!(row["org_id"], org.as_str());
    let deleted = audited(
        &mut client,
        "DELETE FROM org_members WHERE status = 'invited'",
    )
    .await;
    assert!(deleted[0]["changes"]["deleted"].get("user_id").is_none());
}

#[tokio::test]
async fn bookkeeping_is_not_told() {
    let (mut client, _database) = tenant().await;
    for quiet in [
        "UPDATE api_keys SET usage_count = usage_count + 1",
        "UPDATE api_keys SET usage_count = 9, last_used_at = now(), last_used_ip = '192.0.2.1', updated_at = now()",
        "UPDATE admin_keys SET last_used_at = now()",
        "UPDATE users SET last_login_at = now(), last_login_ip = '192.0.2.1', mfa_last_step = 1",
        "UPDATE sessions SET last_used_at = now()",
        "UPDATE projects SET name = name",
        "UPDATE organizations SET updated_at = now()",
        "UPDATE projects SET name = 'never' WHERE FALSE",
    ] {
        assert_eq!(
            audited(&mut client, quiet).await,
            Vec::<Value>::new(),
            "{quiet}"
        );
    }
}

#[tokio::test]
async fn what_is_written_stays() {
    let (client, _database) = tenant().await;
    let everything = "SELECT count(*) FROM audit_logs WHERE action LIKE '%.create'";
    let before = count(&client, everything).await;
    for change in [
        "UPDATE audit_logs SET action = 'users.update'",
        "UPDATE audit_logs SET time = time - INTERVAL '1 year'",
        "DELETE FROM audit_logs",
        "DELETE FROM audit_logs WHERE action = 'users.create'",
        "TRUNCATE audit_logs",
    ] {
        let error = client.batch_execute(change).await.unwrap_err();
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{change}"
        );
    }
    assert_eq!(count(&client, everything).await, before);
}

#[tokio::test]
async fn truncations_are_told_once_a_table() {
    let (mut client, _database) = tenant().await;
    let rows = audited(&mut client, "TRUNCATE organizations, users CASCADE").await;
    let actions: Vec<&str> = rows
        .iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect();
    let expected = [
        "admin_keys.truncate",
        "api_keys.truncate",
        "mcp_servers.truncate",
        "mcp_tools.truncate",
        "org_members.truncate",
        "organizations.truncate",
        "policies.truncate",
        "projects.truncate",
        "sessions.truncate",
        "subscriptions.truncate",
        "users.truncate",
    ];
    assert_eq!(actions, expected);
    for row in rows {
        let empty =
            json!({"resource_id": null, "org_id": null, "project_id": null, "changes": null});
        assert_eq!(
            pick(&row, &["resource_id", "org_id", "project_id", "changes"]),
            empty
        );
    }
}

/// Whose the children were can't be looked up any more: their parents went before them.
#[tokio::test]
async fn a_cascade_is_told_of_each_organization_by_itself() {
    for prefix in ["", "SET LOCAL search_path = '';"] {
        let (mut client, _database) = tenant().await;
        client.batch_execute(&inserts('b')).await.unwrap();
        let sql = format!("{prefix} DELETE FROM public.organizations");
        check_cascade(&audited(&mut client, &sql).await, &["users"]);
    }
}

#[tokio::test]
async fn a_cascade_from_projects_is_told_of_each_by_itself() {
    let (mut client, _database) = tenant().await;
    client.batch_execute(&inserts('b')).await.unwrap();
    let rows = audited(&mut client, "DELETE FROM projects").await;
    let stay = [
        "users",
        "organizations",
        "org_members",
        "admin_keys",
        "subscriptions",
    ];
    check_cascade(&rows, &stay);
}

/// That all of both organizations went but for the rows in some tables and, if organizations do, policies of theirs.
fn check_cascade(rows: &[Value], stay: &[&str]) {
    let told: Vec<Value> = rows.iter().map(told).collect();
    let mut expected: Vec<Value> = [expected('a', "delete"), expected('b', "delete")].concat();
    expected.retain(|row| {
        let table = row["resource_type"].as_str().unwrap();
        let kept_policy = stay.contains(&"organizations") && row["project_id"].is_null();
        !stay.contains(&table) && !kept_policy
    });
    for row in &expected {
        assert!(told.contains(row), "{row} in {told:?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:?}");
}

/// As a restore has it, and whoever else sets a path of their own.
#[tokio::test]
async fn changes_are_told_under_any_search_path() {
    let (mut client, _database) = tenant().await;
    for ((table, end, ..), expected) in ROWS.into_iter().zip(expected('a', "update")) {
        let (change, _) = change_of(table);
        let sql = format!(
            "SET LOCAL search_path = ''; UPDATE public.{table} SET {change} WHERE id = '{}'",
            id('a', end)
        );
        assert_eq!(told(&audited_once(&mut client, &sql).await), expected);
    }
}

#[tokio::test]
async fn what_is_rolled_back_is_not_told() {
    let (client, _database) = tenant().await;
    let everything = "SELECT count(*) FROM audit_logs";
    let before = count(&client, everything).await;
    for change in [
        "BEGIN; UPDATE projects SET name = 'never'; ROLLBACK",
        "BEGIN; SAVEPOINT here; DELETE FROM organizations; ROLLBACK TO here; COMMIT",
    ] {
        client.batch_execute(change).await.unwrap();
        assert_eq!(count(&client, everything).await, before, "{change}");
    }
}
