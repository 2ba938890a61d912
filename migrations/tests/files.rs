//! The embedded files keep the rules that the runner relies on.

use migrations::{Migration, all};
use testkit::Database;

/// Every file with its text.
fn files() -> impl Iterator<Item = (String, &'static str)> {
    let pair = |migration: &'static Migration| {
        [
            (migration.up_file(), migration.up),
            (migration.down_file(), migration.down),
        ]
    };
    all().iter().flat_map(pair)
}

#[test]
fn files_leave_transactions_to_the_runner() {
    for (file, sql) in files() {
        for line in sql.lines() {
            let line = line.trim().to_ascii_uppercase();
            let controls = [
                "BEGIN;",
                "COMMIT;",
                "ROLLBACK;",
                "START TRANSACTION;",
                "END;",
            ];
            assert!(!controls.contains(&line.as_str()), "{file}: {line}");
        }
    }
}

#[test]
fn files_have_something_to_run() {
    for (file, sql) in files() {
        let is_code = |line: &str| !line.trim().is_empty() && !line.starts_with("--");
        assert!(sql.lines().any(is_code), "{file}");
    }
}

#[tokio::test]
async fn files_without_a_transaction_hold_one_statement() {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    for (file, sql) in files().filter(|(_, sql)| sql.starts_with("-- no-transaction")) {
        // The server splits statements better than we could, and refuses to prepare two.
        client
            .prepare(sql)
            .await
            .unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
