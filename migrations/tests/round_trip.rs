//! Up, down and up again; again and at once.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use migrations::{State, all, runner};
use testkit::Database;
use tokio::task::JoinSet;
use tokio_postgres::Client;

#[tokio::test]
async fn down_undoes_everything_and_up_makes_the_same_again() {
    let (mut client, database) = with_extensions().await;
    runner::up(&mut client, &[]).await.unwrap();
    let empty = database.dump();

    let applied = migrations::up(&mut client).await.unwrap();
    assert_eq!(versions(applied.iter().map(|step| step.version)), known());
    let full = database.dump();
    assert!(full.contains("CREATE TABLE public.usage_events"));

    let reverted = migrations::down(&mut client, usize::MAX).await.unwrap();
    assert_eq!(
        versions(reverted.iter().rev().map(|step| step.version)),
        known()
    );
    assert_eq!(database.dump(), empty);

    migrations::up(&mut client).await.unwrap();
    let again = without_numbers(&database.dump());
    let full = without_numbers(&full);
    for (again, full) in again.lines().zip(full.lines()) {
        assert_eq!(again, full);
    }
    assert_eq!(again.len(), full.len());
}

/// TimescaleDB numbers what it makes: a continuous aggregate and its trigger name hypertables so.
fn without_numbers(dump: &str) -> String {
    let numbered = [
        "_hypertable_",
        "cagg_watermark(",
        "continuous_agg_invalidation_trigger('",
    ];
    numbered.iter().fold(dump.to_owned(), |dump, prefix| {
        let parts = dump.split(prefix);
        let digit = |character: char| character.is_ascii_digit();
        let parts: Vec<&str> = parts.map(|part| part.trim_start_matches(digit)).collect();
        parts.join(prefix)
    })
}

#[tokio::test]
async fn each_down_file_undoes_exactly_its_up_file() {
    let (mut client, database) = with_extensions().await;
    let mut dumps = Vec::new();
    for count in 0..=all().len() {
        runner::up(&mut client, &all()[..count]).await.unwrap();
        dumps.push(database.dump());
    }
    while let Some(after) = dumps.pop() {
        assert_eq!(database.dump(), after);
        migrations::down(&mut client, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_second_up_does_nothing() {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    let before = database.dump();
    assert_eq!(migrations::up(&mut client).await.unwrap(), []);
    assert_eq!(database.dump(), before);
}

#[tokio::test]
async fn ten_at_once_apply_everything_once() {
    let database = Database::create();
    let mut ups = JoinSet::new();
    for _ in 0..10 {
        let mut client = database.connect().await;
        ups.spawn(async move { migrations::up(&mut client).await.unwrap().len() });
    }
    let counts = ups.join_all().await;
    assert_eq!(counts.iter().max(), Some(&all().len()), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), all().len(), "{counts:?}");
}

#[tokio::test]
async fn looking_creates_nothing() {
    let database = Database::create();
    let client = database.connect().await;
    let before = database.dump();
    assert_eq!(migrations::version(&client).await.unwrap(), None);
    let status = migrations::status(&client).await.unwrap();
    assert_eq!(versions(status.iter().map(|line| line.version)), known());
    let pending = |line: &migrations::MigrationStatus| {
        line.state == State::Pending && line.applied_at.is_none()
    };
    assert!(status.iter().all(pending), "{status:?}");
    assert_eq!(database.dump(), before);
}

#[tokio::test]
async fn down_in_an_empty_database_does_nothing() {
    let database = Database::create();
    let mut client = database.connect().await;
    let before = database.dump();
    assert_eq!(migrations::down(&mut client, 1).await.unwrap(), []);
    assert_eq!(database.dump(), before);
}

#[tokio::test]
async fn version_and_status_follow_up_and_down() {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    assert_eq!(
        migrations::version(&client).await.unwrap(),
        known().last().copied()
    );
    migrations::down(&mut client, 1).await.unwrap();
    assert_eq!(
        migrations::version(&client).await.unwrap(),
        known().iter().rev().nth(1).copied()
    );
    let status = migrations::status(&client).await.unwrap();
    let (newest, older) = status.split_last().unwrap();
    assert_eq!(newest.state, State::Pending);
    assert!(
        older
            .iter()
            .all(|line| line.state == State::Applied && line.applied_at.is_some())
    );
}

/// A database with the extensions that the migrations make and leave where they are undone.
async fn with_extensions() -> (Client, Database) {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    migrations::down(&mut client, usize::MAX).await.unwrap();
    client
        .batch_execute("DROP TABLE schema_migrations")
        .await
        .unwrap();
    (client, database)
}

fn known() -> Vec<i64> {
    versions(all().iter().map(|migration| migration.version))
}

fn versions(versions: impl Iterator<Item = i64>) -> Vec<i64> {
    versions.collect()
}
