//! A connection that dies in the middle of a migration: of each one, at its beginning and at its end, on both ways.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use migrations::{Error, Migration, all, runner};
use testkit::Database;

/// Ends the session that runs it, as an administrator or a crash would.
const DIE: &str = "SELECT pg_terminate_backend(pg_backend_pid());";

fn dying_first(sql: &str) -> &'static str {
    Box::leak(format!("{DIE}\n{sql}").into_boxed_str())
}

/// All its statements have run then, and it isn't entered yet.
fn dying_last(sql: &str) -> &'static str {
    Box::leak(format!("{sql}\n{DIE}").into_boxed_str())
}

#[track_caller]
fn check_killed<T: std::fmt::Debug>(ended: Result<T, Error>) {
    let error = ended.unwrap_err();
    assert!(
        error.to_string().contains("57P01"),
        "admin_shutdown: {error}"
    );
}

#[tokio::test]
async fn a_connection_lost_on_the_way_up_leaves_nothing_of_that_migration() {
    let database = Database::create();
    let mut client = database.connect().await;
    // A first time up and down: extensions stay.
    migrations::up(&mut client).await.unwrap();
    migrations::down(&mut client, usize::MAX).await.unwrap();
    for (index, migration) in all().iter().enumerate() {
        let before = database.dump();
        for up in [dying_first(migration.up), dying_last(migration.up)] {
            let mut known = all()[..index].to_vec();
            known.push(Migration { up, ..*migration });
            let mut doomed = database.connect().await;
            check_killed(runner::up(&mut doomed, &known).await);
            assert_eq!(database.dump(), before, "{}", migration.name);
        }
        // The lock went with the connection, and nothing is in the way.
        let applied = runner::up(&mut client, &all()[..=index]).await.unwrap();
        assert_eq!(applied.len(), 1, "{}", migration.name);
    }
}

#[tokio::test]
async fn a_connection_lost_on_the_way_down_leaves_that_migration_whole() {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    for (index, migration) in all().iter().enumerate().rev() {
        let before = database.dump();
        for down in [dying_first(migration.down), dying_last(migration.down)] {
            let mut known = all()[..index].to_vec();
            known.push(Migration { down, ..*migration });
            let mut doomed = database.connect().await;
            check_killed(runner::down(&mut doomed, &known, 1).await);
            assert_eq!(database.dump(), before, "{}", migration.name);
        }
        let reverted = migrations::down(&mut client, 1).await.unwrap();
        assert_eq!(reverted.len(), 1, "{}", migration.name);
    }
}
