//! One runner at a time, whatever it runs and however it ends.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::pin::pin;
use std::time::Duration;

use migrations::{Migration, runner};
use testkit::Database;
use tokio::task::JoinSet;

/// Before a test calls a wait endless.
const PATIENCE: Duration = Duration::from_secs(20);

const TABLE: Migration = Migration {
    version: 20_260_101_000_001,
    name: "table",
    up: "CREATE TABLE things (id INT)",
    down: "DROP TABLE things",
};
const INDEX: Migration = Migration {
    version: 20_260_101_000_002,
    name: "index",
    up: "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS idx_things ON things (id)",
    down: "-- no-transaction\nDROP INDEX CONCURRENTLY idx_things",
};
const SLOW: Migration = Migration {
    version: 20_260_101_000_003,
    name: "slow",
    up: "CREATE TABLE slow (id INT); SELECT pg_sleep(3600)",
    down: "DROP TABLE slow",
};

/// Those who wait must not hold what `CONCURRENTLY` waits for.
#[tokio::test]
async fn an_index_is_built_concurrently_while_others_wait() {
    let database = Database::create();
    let mut ups = JoinSet::new();
    for _ in 0..10 {
        let mut client = database.connect().await;
        ups.spawn(async move {
            runner::up(&mut client, &[TABLE, INDEX])
                .await
                .unwrap()
                .len()
        });
    }
    let counts = tokio::time::timeout(PATIENCE, ups.join_all())
        .await
        .unwrap();
    assert_eq!(counts.iter().sum::<usize>(), 2, "{counts:?}");

    let mut client = database.connect().await;
    assert_eq!(
        runner::down(&mut client, &[TABLE, INDEX], 9)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_dropped_run_gives_the_lock_back_and_leaves_nothing() {
    let database = Database::create();
    let mut abandoned = database.connect().await;
    let cancel = abandoned.cancel_token();
    {
        let known = [SLOW];
        let mut run = pin!(runner::up(&mut abandoned, &known));
        let watcher = database.connect().await;
        tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            () = until_it_sleeps(&watcher) => {}
        }
    }
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();

    let mut client = database.connect().await;
    let up = tokio::time::timeout(PATIENCE, runner::up(&mut client, &[TABLE])).await;
    assert_eq!(up.unwrap().unwrap().len(), 1);
    assert!(client.query("SELECT FROM slow", &[]).await.is_err());
    abandoned
        .query("SELECT 1", &[])
        .await
        .expect("the connection is fit for use");
}

/// The server tells when a statement has begun to sleep; nothing announces it, so we ask.
async fn until_it_sleeps(watcher: &tokio_postgres::Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    loop {
        let sleeping: i64 = watcher.query_one(sql, &[]).await.unwrap().get(0);
        if sleeping > 0 {
            return;
        }
    }
}
