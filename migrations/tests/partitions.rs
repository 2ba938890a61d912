//! Partitions where there is no TimescaleDB: made ahead, and afterwards for rows that came before them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that fails is a failed test, and one that skips says so"
)]

use testkit::Database;
use tokio::task::JoinSet;
use tokio_postgres::Client;

const EVENT: &str = "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model)
    SELECT now() + $1::text::interval, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'api_call', 'm'
    FROM generate_series(1, 100)";

/// A migrated database; nothing where TimescaleDB divides the tables.
async fn partitioned() -> Option<(Client, Database)> {
    let database = Database::migrated().await;
    let client = database.connect().await;
    let engine: String = query(&client, "SELECT storage_engine()").await;
    if engine == "postgresql" {
        return Some((client, database));
    }
    eprintln!("skipped: {engine} makes its chunks itself");
    None
}

async fn query<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn in_default(client: &Client, relation: &str) -> i64 {
    query(client, &format!("SELECT count(*) FROM {relation}_default")).await
}

#[tokio::test]
async fn the_time_to_come_has_its_partitions_after_up() {
    let Some((client, _database)) = partitioned().await else {
        return;
    };
    for offset in ["0", "1 day", "6 days 23 hours"] {
        client.execute(EVENT, &[&offset]).await.unwrap();
    }
    assert_eq!(in_default(&client, "usage_events").await, 0);
    // The insertion of an organization wrote to the log.
    let sql = "INSERT INTO organizations (name, slug) VALUES ('Acme', 'acme')";
    client.batch_execute(sql).await.unwrap();
    assert_eq!(in_default(&client, "audit_logs").await, 0);
    let again: i32 = query(&client, "SELECT make_partitions_ahead()").await;
    assert_eq!(again, 0, "a second time there is nothing to do");
}

#[tokio::test]
async fn rows_that_found_no_partition_get_theirs() {
    let Some((client, _database)) = partitioned().await else {
        return;
    };
    for offset in ["-3 days", "-20 days", "-400 days"] {
        client.execute(EVENT, &[&offset]).await.unwrap();
    }
    let sql = "INSERT INTO audit_logs (time, actor_type, action, resource_type)
        VALUES (now() - interval '32 days', 'system', 'user.login', 'users')";
    client.batch_execute(sql).await.unwrap();
    assert_eq!(in_default(&client, "usage_events").await, 300);
    let made: i32 = query(&client, "SELECT make_partitions_ahead()").await;
    assert_eq!(made, 3);
    // Of times that nobody plans for they stay where they are.
    assert_eq!(in_default(&client, "usage_events").await, 100);
    assert_eq!(in_default(&client, "audit_logs").await, 0);
    let all: i64 = query(&client, "SELECT count(*) FROM usage_events").await;
    assert_eq!(all, 300);
    for relation in ["audit_logs", "audit_logs_default"] {
        let sql = format!(
            "INSERT INTO audit_logs (time, actor_type, action, resource_type)
                VALUES (now() - interval '400 days', 'system', 'user.login', 'users');
             DELETE FROM {relation}"
        );
        let refused = client.batch_execute(&sql);
        assert!(refused.await.is_err(), "{relation} is append-only again");
    }
    let sql = "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits
        WHERE inhparent = 'audit_logs'::regclass";
    let partitions: String = query(&client, sql).await;
    for partition in partitions.split(' ') {
        let sql = format!("TRUNCATE {partition}");
        assert!(client.batch_execute(&sql).await.is_err(), "{partition}");
    }
}

/// A partition is made like the others: with each index, key and check.
#[tokio::test]
async fn a_partition_has_what_its_table_has() {
    let Some((client, _database)) = partitioned().await else {
        return;
    };
    let sql = "SELECT count(DISTINCT (indexes, checks)) FROM (
        SELECT (SELECT count(*) FROM pg_index WHERE indrelid = oid) AS indexes,
               (SELECT count(*) FROM pg_constraint WHERE conrelid = oid AND contype = 'c') AS checks
        FROM pg_class WHERE oid = 'usage_events'::regclass OR relispartition AND relname LIKE 'usage_events%'
                        AND relkind = 'r') AS tables";
    let kinds: i64 = query(&client, sql).await;
    assert_eq!(kinds, 1);
}

#[tokio::test]
async fn ten_at_once_make_each_partition_once() {
    let Some((client, database)) = partitioned().await else {
        return;
    };
    client.execute(EVENT, &[&"-3 days"]).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = database.connect().await;
        calls.spawn(async move { query::<i32>(&client, "SELECT make_partitions_ahead()").await });
    }
    assert_eq!(calls.join_all().await.iter().sum::<i32>(), 1);
}

/// A statement that waits while rows move finds them where they went.
#[tokio::test]
async fn whoever_reads_while_rows_move_sees_each_once() {
    let Some((client, database)) = partitioned().await else {
        return;
    };
    client.execute(EVENT, &[&"-3 days"]).await.unwrap();
    let reader = database.connect().await;
    let sql = "SELECT count(*) FROM usage_events WHERE time > now() - interval '4 days'";
    let (waiting, planned) = (
        reader.prepare(sql).await.unwrap(),
        reader.prepare(sql).await.unwrap(),
    );
    client.batch_execute("BEGIN").await.unwrap();
    let made: i32 = query(&client, "SELECT make_partitions_ahead()").await;
    assert_eq!(made, 1);
    let mut read = JoinSet::new();
    read.spawn(async move {
        let row = reader.query_one(&waiting, &[]).await.unwrap();
        let again = reader.query_one(&planned, &[]).await.unwrap();
        (row.get::<_, i64>(0), again.get::<_, i64>(0))
    });
    let blocked = "SELECT count(*) FROM pg_locks
        WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while query::<i64>(&client, blocked).await == 0 {
        tokio::task::yield_now().await;
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(read.join_next().await.unwrap().unwrap(), (100, 100));
}
