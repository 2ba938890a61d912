//! What is asked and not waited for is still counted: nobody gets more of the database than their turn.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::stage::{Stage, ago, at};

/// Statements of the gateway's that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_and_asks_again_has_no_more_statements_running_than_others() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    // By minute and user there is no rollup: the events are read, which somebody has locked.
    let since = ago(&stage.scene, "1 hour").await;
    let path = at(&format!(
        "usage?since={since}&bucket=minute&group_by=user_id"
    ));
    let locker = stage.scene.database.connect().await;
    locker
        .batch_execute("BEGIN; LOCK TABLE usage_events IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut most = 0;
    for _ in 0..20 {
        let asked = viewer.begin(Method::GET, &path, "");
        let answered = tokio::time::timeout(Duration::from_millis(100), asked).await;
        assert!(answered.is_err(), "{answered:?}");
        let row = stage.scene.sql.query_one(WAITING, &[]).await.unwrap();
        most = most.max(row.get::<_, i64>(0));
    }
    assert!((1..=3).contains(&most), "{most}");
    // Others are served meanwhile, and so is the organization what isn't large.
    let projects = viewer.get(&at("projects")).await;
    assert_eq!(projects.status, StatusCode::OK, "{projects:?}");

    locker.batch_execute("ROLLBACK").await.unwrap();
    testkit::eventually("the reports are read again", || async {
        let answer = viewer.get(&path).await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
}
