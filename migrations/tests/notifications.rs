//! Changes are announced on channel `mindweave`; bookkeeping is not.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use serde_json::{Value, json};
use testkit::postgres::{Database, Listener};
use tokio_postgres::Client;

const PROJECT: &str = "00000000-0000-0000-0000-000000000003";
const KEY: &str = "00000000-0000-0000-0000-000000000004";

/// Every table that gateways keep in memory, with the id of its one row.
const ROWS: [(&str, &str); 10] = [
    ("organizations", "00000000-0000-0000-0000-000000000001"),
    ("users", "00000000-0000-0000-0000-000000000002"),
    ("projects", PROJECT),
    ("api_keys", KEY),
    ("admin_keys", "00000000-0000-0000-0000-000000000005"),
    ("org_members", "00000000-0000-0000-0000-000000000006"),
    ("mcp_servers", "00000000-0000-0000-0000-000000000007"),
    ("mcp_tools", "00000000-0000-0000-0000-000000000008"),
    ("policies", "00000000-0000-0000-0000-000000000009"),
    ("subscriptions", "00000000-0000-0000-0000-00000000000a"),
];

const INSERTS: &str = "
    INSERT INTO organizations (id, name, slug) VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 'acme');
    INSERT INTO users (id, email, name) VALUES ('00000000-0000-0000-0000-000000000002', 'a@acme.test', 'Ann');
    INSERT INTO projects (id, org_id, name, slug)
        SELECT '00000000-0000-0000-0000-000000000003', id, 'Main', 'main' FROM organizations;
    INSERT INTO api_keys (id, project_id, created_by, key_prefix, key_hash, name)
        SELECT '00000000-0000-0000-0000-000000000004', projects.id, users.id, 'mw_sk_live_', repeat('a', 64), 'key'
        FROM projects, users;
    INSERT INTO admin_keys (id, org_id, role, name, key_hash)
        SELECT '00000000-0000-0000-0000-000000000005', id, 'admin', 'key', repeat('b', 64) FROM organizations;
    INSERT INTO org_members (id, org_id, user_id)
        SELECT '00000000-0000-0000-0000-000000000006', organizations.id, users.id FROM organizations, users;
    INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config)
        SELECT '00000000-0000-0000-0000-000000000007', projects.id, users.id, 'github', 'stdio', '{}'
        FROM projects, users;
    INSERT INTO mcp_tools (id, server_id, name, input_schema)
        SELECT '00000000-0000-0000-0000-000000000008', id, 'search', '{}' FROM mcp_servers;
    INSERT INTO policies (id, org_id, created_by, name, type, rules)
        SELECT '00000000-0000-0000-0000-000000000009', organizations.id, users.id, 'p', 'usage', '{}'
        FROM organizations, users;
    INSERT INTO subscriptions (id, org_id)
        SELECT '00000000-0000-0000-0000-00000000000a', id FROM organizations;
";

/// A database with one row a table, whose insertions the listener is still to hear of.
async fn tenant() -> (Client, Listener, Database) {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    let listener = database.listen("mindweave").await;
    client.batch_execute(INSERTS).await.unwrap();
    (client, listener, database)
}

fn news(table: &str, operation: &str, id: &str) -> Value {
    json!({"table": table, "operation": operation, "id": id})
}

/// The next ones, one a table, in any order.
async fn check_each_table(listener: &mut Listener, operation: &str) {
    let mut heard = Vec::new();
    for _ in ROWS {
        heard.push(listener.next().await);
    }
    for (table, id) in ROWS {
        assert!(
            heard.contains(&news(table, operation, id)),
            "{table} in {heard:?}"
        );
    }
}

#[tokio::test]
async fn every_change_is_announced() {
    let (client, mut listener, _database) = tenant().await;
    check_each_table(&mut listener, "INSERT").await;

    for (table, _) in ROWS {
        let change = match table {
            "org_members" => "role = 'viewer'",
            "subscriptions" => "plan = 'team'",
            _ => "name = 'new'",
        };
        let sql = format!("UPDATE {table} SET {change}");
        client.batch_execute(&sql).await.unwrap();
    }
    check_each_table(&mut listener, "UPDATE").await;

    // The cascade announces what it takes along.
    let sql = "DELETE FROM organizations; DELETE FROM users";
    client.batch_execute(sql).await.unwrap();
    check_each_table(&mut listener, "DELETE").await;
}

#[tokio::test]
async fn bookkeeping_is_not_announced() {
    let (client, mut listener, _database) = tenant().await;
    check_each_table(&mut listener, "INSERT").await;
    for quiet in [
        "UPDATE api_keys SET usage_count = usage_count + 1",
        "UPDATE api_keys SET usage_count = 9, last_used_at = now(), last_used_ip = '192.0.2.1', updated_at = now()",
        "UPDATE admin_keys SET last_used_at = now()",
        "UPDATE users SET last_login_at = now(), last_login_ip = '192.0.2.1'",
        "UPDATE projects SET name = name",
        "UPDATE organizations SET updated_at = now()",
    ] {
        client.batch_execute(quiet).await.unwrap();
    }
    let loud = "UPDATE api_keys SET usage_count = 10, status = 'revoked'";
    client.batch_execute(loud).await.unwrap();
    assert_eq!(listener.next().await, news("api_keys", "UPDATE", KEY));
}

#[tokio::test]
async fn truncation_is_announced_without_an_id() {
    let (client, mut listener, _database) = tenant().await;
    check_each_table(&mut listener, "INSERT").await;
    client
        .batch_execute("TRUNCATE organizations, users CASCADE")
        .await
        .unwrap();
    let mut tables = Vec::new();
    for _ in ROWS {
        let heard = listener.next().await;
        assert_eq!(
            (&heard["operation"], &heard["id"]),
            (&json!("TRUNCATE"), &Value::Null)
        );
        tables.push(heard["table"].as_str().unwrap().to_owned());
    }
    tables.sort();
    let mut expected = ROWS.map(|(table, _)| table);
    expected.sort_unstable();
    assert_eq!(tables, expected);
}

#[tokio::test]
async fn what_is_rolled_back_is_not_announced() {
    let (client, mut listener, _database) = tenant().await;
    check_each_table(&mut listener, "INSERT").await;
    let sql = "BEGIN; UPDATE organizations SET name = 'never'; ROLLBACK";
    client.batch_execute(sql).await.unwrap();
    client
        .batch_execute("UPDATE projects SET name = 'new'")
        .await
        .unwrap();
    assert_eq!(listener.next().await, news("projects", "UPDATE", PROJECT));
}
