//! Changes are announced on channel `mindweave`; bookkeeping is not.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use serde_json::{Value, json};
use testkit::postgres::{Database, Listener};
use tokio_postgres::Client;

const ORG: &str = "00000000-0000-0000-0000-000000000001";
const PROJECT: &str = "00000000-0000-0000-0000-000000000003";
const KEY: &str = "00000000-0000-0000-0000-000000000004";
const ADMIN_KEY: &str = "00000000-0000-0000-0000-000000000005";

/// A database with one row a table, whose four insertions the listener is still to hear of.
async fn tenant() -> (Client, Listener, Database) {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    let listener = database.listen("mindweave").await;
    let user = "00000000-0000-0000-0000-000000000002";
    let sql = format!(
        "INSERT INTO users (id, email, name) VALUES ('{user}', 'a@acme.test', 'Ann');
         INSERT INTO organizations (id, name, slug) VALUES ('{ORG}', 'Acme', 'acme');
         INSERT INTO projects (id, org_id, name, slug) VALUES ('{PROJECT}', '{ORG}', 'Main', 'main');
         INSERT INTO api_keys (id, project_id, created_by, key_prefix, key_hash, name)
             VALUES ('{KEY}', '{PROJECT}', '{user}', 'mw_sk_live_', repeat('a', 64), 'key');
         INSERT INTO admin_keys (id, org_id, role, name, key_hash)
             VALUES ('{ADMIN_KEY}', '{ORG}', 'admin', 'key', repeat('b', 64));"
    );
    client.batch_execute(&sql).await.unwrap();
    (client, listener, database)
}

fn news(table: &str, operation: &str, id: &str) -> Value {
    json!({"table": table, "operation": operation, "id": id})
}

/// The next four, one a table, in any order.
async fn check_each_table(listener: &mut Listener, operation: &str) {
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(listener.next().await);
    }
    for (table, id) in [
        ("organizations", ORG),
        ("projects", PROJECT),
        ("api_keys", KEY),
        ("admin_keys", ADMIN_KEY),
    ] {
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

    let sql = "UPDATE organizations SET name = 'new'; UPDATE projects SET name = 'new';
        UPDATE api_keys SET name = 'new'; UPDATE admin_keys SET name = 'new'";
    client.batch_execute(sql).await.unwrap();
    check_each_table(&mut listener, "UPDATE").await;

    // The cascade announces what it takes along.
    client
        .batch_execute("DELETE FROM organizations")
        .await
        .unwrap();
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
        .batch_execute("TRUNCATE organizations CASCADE")
        .await
        .unwrap();
    let mut tables = Vec::new();
    for _ in 0..4 {
        let heard = listener.next().await;
        assert_eq!(
            (&heard["operation"], &heard["id"]),
            (&json!("TRUNCATE"), &Value::Null)
        );
        tables.push(heard["table"].as_str().unwrap().to_owned());
    }
    tables.sort();
    assert_eq!(
        tables,
        ["admin_keys", "api_keys", "organizations", "projects"]
    );
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
