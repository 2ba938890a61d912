//! `mindweave migrate`

use testkit::Database;
use testkit::command::succeed;

use crate::MINDWEAVE;

async fn migrate(database: &Database, words: &[&str]) -> String {
    let url = database.url();
    let words = [&["migrate"], words].concat();
    succeed(MINDWEAVE, &words, &[("DATABASE_URL", &url)]).await
}

/// How many migrations are in this state.
fn count(status: &str, state: &str) -> usize {
    status
        .lines()
        .filter(|line| line.starts_with(state))
        .count()
}

#[tokio::test]
async fn the_schema_goes_up_and_down_and_up_again() {
    let database = Database::create();
    assert_eq!(migrate(&database, &["version"]).await, "none\n");
    let pending = migrate(&database, &["status"]).await;
    let all = count(&pending, "pending");
    assert!(all > 0 && pending.lines().count() == all, "{pending}");

    let said = migrate(&database, &["up"]).await;
    assert!(
        said.contains(&format!("{all} migrations applied")),
        "{said}"
    );
    let applied = migrate(&database, &["status"]).await;
    assert_eq!(count(&applied, "applied"), all, "{applied}");
    let (newest, schema) = (migrate(&database, &["version"]).await, database.dump());
    assert!(applied.contains(newest.trim()), "{newest} of {applied}");

    migrate(&database, &["down", "1"]).await;
    let status = migrate(&database, &["status"]).await;
    assert_eq!(count(&status, "applied"), all - 1, "{status}");
    assert_ne!(migrate(&database, &["version"]).await, newest);
    assert_ne!(database.dump(), schema);

    migrate(&database, &["up"]).await;
    assert_eq!(migrate(&database, &["version"]).await, newest);
    assert_eq!(database.dump(), schema);
    let said = migrate(&database, &["up"]).await;
    assert!(said.contains("0 migrations applied"), "{said}");
}
