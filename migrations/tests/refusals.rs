//! What the runner refuses, in which words, and what is left behind: nothing.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use migrations::{Error, Migration, State, runner};
use testkit::Database;
use tokio_postgres::Client;

const ONE: Migration = Migration {
    version: 20_260_101_000_001,
    name: "one",
    up: "CREATE TABLE one (id INT)",
    down: "DROP TABLE one",
};
const TWO: Migration = Migration {
    version: 20_260_101_000_002,
    name: "two",
    up: "CREATE TABLE two (id INT)",
    down: "DROP TABLE two",
};
const THREE: Migration = Migration {
    version: 20_260_101_000_003,
    name: "three",
    up: "CREATE TABLE three (id INT)",
    down: "DROP TABLE three",
};

/// Applies `before`, then runs `known`, which must be refused in these words without a trace.
async fn check(before: &[Migration], known: &[Migration], expected: &str) {
    let database = Database::create();
    let mut client = database.connect().await;
    runner::up(&mut client, before).await.unwrap();
    let dump = database.dump();
    let error = runner::up(&mut client, known).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(database.dump(), dump, "nothing is left behind");
    assert_eq!(
        versions(&client).await,
        before.iter().map(|one| one.version).collect::<Vec<_>>()
    );
    assert_eq!(locks(&client).await, 0, "the lock is released");
}

#[tokio::test]
async fn a_changed_file_is_refused() {
    let changed = Migration {
        up: "CREATE TABLE one (id BIGINT)",
        ..ONE
    };
    let expected = format!(
        "20260101000001_one.up.sql was changed after it was applied: checksum {} then, {} now",
        ONE.checksum(),
        changed.checksum()
    );
    check(&[ONE], &[changed, TWO], &expected).await;
}

#[tokio::test]
async fn an_unknown_version_is_refused() {
    let expected = "20260101000002_two.up.sql is applied to the database but unknown to this program: \
                    use the program that applied it";
    check(&[ONE, TWO], &[ONE, THREE], expected).await;
}

#[tokio::test]
async fn a_gap_is_refused() {
    let expected = "20260101000002_two.up.sql is not applied although the newer version 20260101000003 is: \
                    undo that first, or give the file a new version";
    check(&[ONE, THREE], &[ONE, TWO, THREE], expected).await;
}

#[tokio::test]
async fn undoing_is_the_way_out_of_a_gap() {
    let database = Database::create();
    let mut client = database.connect().await;
    runner::up(&mut client, &[ONE, THREE]).await.unwrap();
    runner::down(&mut client, &[ONE, TWO, THREE], 1)
        .await
        .unwrap();
    runner::up(&mut client, &[ONE, TWO, THREE]).await.unwrap();
    assert_eq!(
        versions(&client).await,
        [ONE.version, TWO.version, THREE.version]
    );
}

#[tokio::test]
async fn status_names_drifted_and_unknown_migrations() {
    let database = Database::create();
    let mut client = database.connect().await;
    runner::up(&mut client, &[ONE, TWO]).await.unwrap();
    let changed = Migration { up: "", ..ONE };
    let status = runner::status(&client, &[changed, THREE]).await.unwrap();
    let states: Vec<_> = status
        .iter()
        .map(|line| (line.name.as_str(), line.state))
        .collect();
    assert_eq!(
        states,
        [
            ("one", State::Drifted),
            ("two", State::Unknown),
            ("three", State::Pending)
        ]
    );
}

#[tokio::test]
async fn a_failing_statement_is_named_with_its_line() {
    let broken = Migration {
        up: "-- \u{e4}\u{f6}\u{fc} count as one character each\nCREATE TABLE half (id INT);\nSELECT 1,\n       missing;\n",
        ..TWO
    };
    let expected =
        "20260101000002_two.up.sql:4: column \"missing\" does not exist (SQLSTATE 42703)";
    check(&[ONE], &[ONE, broken], expected).await;
}

#[tokio::test]
async fn a_syntax_error_is_named_with_its_line() {
    let broken = Migration {
        up: "CREATE TABLE half (id INT);\n\nCREATE TABEL t ();",
        ..TWO
    };
    let expected =
        "20260101000002_two.up.sql:3: syntax error at or near \"TABEL\" (SQLSTATE 42601)";
    check(&[ONE], &[ONE, broken], expected).await;
}

#[tokio::test]
async fn a_fault_inside_a_block_is_named_with_its_context() {
    let broken = Migration {
        up: "DO $$\nBEGIN\n    RAISE 'no' USING HINT = 'never';\nEND\n$$",
        ..TWO
    };
    let expected = "20260101000002_two.up.sql: no; never; \
                    PL/pgSQL function inline_code_block line 3 at RAISE (SQLSTATE P0001)";
    check(&[ONE], &[ONE, broken], expected).await;
}

#[tokio::test]
async fn a_fault_found_at_commit_is_named_too() {
    let broken = Migration {
        up: "CREATE TABLE half (id INT UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO half VALUES (1), (1)",
        ..TWO
    };
    let expected = "20260101000002_two.up.sql: duplicate key value violates unique constraint \"half_id_key\"; \
                    Key (id)=(1) already exists. (SQLSTATE 23505)";
    check(&[ONE], &[ONE, broken], expected).await;
}

#[tokio::test]
async fn two_statements_without_a_transaction_are_refused() {
    let broken = Migration {
        up: "-- no-transaction\nCREATE TABLE half (id INT);\nCREATE TABLE other (id INT)",
        ..TWO
    };
    let expected = "20260101000002_two.up.sql: \
                    cannot insert multiple commands into a prepared statement (SQLSTATE 42601)";
    check(&[ONE], &[ONE, broken], expected).await;
}

#[tokio::test]
async fn those_before_a_failing_one_stay() {
    let database = Database::create();
    let mut client = database.connect().await;
    let broken = Migration {
        up: "SELECT 1/0",
        ..TWO
    };
    let error = runner::up(&mut client, &[ONE, broken, THREE])
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert_eq!(versions(&client).await, [ONE.version]);
    runner::up(&mut client, &[ONE, TWO, THREE]).await.unwrap();
}

#[tokio::test]
async fn a_failing_down_leaves_its_migration_applied() {
    let database = Database::create();
    let mut client = database.connect().await;
    let known = [
        ONE,
        Migration {
            down: "DROP TABLE two;\nDROP TABLE nothing",
            ..TWO
        },
    ];
    runner::up(&mut client, &known).await.unwrap();
    let dump = database.dump();
    let error = runner::down(&mut client, &known, 2).await.unwrap_err();
    let expected = "20260101000002_two.down.sql: table \"nothing\" does not exist (SQLSTATE 42P01)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(database.dump(), dump);
    assert_eq!(versions(&client).await, [ONE.version, TWO.version]);
}

async fn versions(client: &Client) -> Vec<i64> {
    let sql = "SELECT version FROM schema_migrations ORDER BY version";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn locks(client: &Client) -> i64 {
    // Other tests lock their own databases of the same server.
    let sql = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database \
               WHERE locktype = 'advisory' AND d.datname = current_database()";
    client.query_one(sql, &[]).await.unwrap().get(0)
}
