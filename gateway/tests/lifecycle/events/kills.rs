//! The gateway is killed in the middle of its work, again and again.

use std::collections::BTreeSet;

use testkit::Scene;
use testkit::scene::text;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::load::{Load, answered};
use crate::stage::Stage;

const KILLS: usize = 5;

async fn rows(scene: &Scene) -> Vec<Row> {
    scene
        .sql
        .query("SELECT * FROM usage_events", &[])
        .await
        .unwrap()
}

/// Every answered request is a row, once; every one that the upstream saw is at least known to have been there.
async fn check(durability: &str) {
    let set = Stage::set(Scene::new().await).await;
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        set.builder()
            .data_dir(folder.path())
            .env("MINDWEAVE_SPOOL_DURABILITY", durability)
            .start()
    };
    let mut requests: BTreeSet<Uuid> = BTreeSet::new();
    for round in 0..KILLS {
        let gateway = start().await;
        let load = Load::to_the_end(&gateway.client(&set.scene.key), 6);
        load.answers(40 + 30 * round).await;
        gateway.kill().await;
        requests.extend(load.ended().await);
    }
    let gateway = start().await;
    requests.insert(answered(&gateway.client(&set.scene.key).ask().await));
    let recovered = gateway.metric("mindweave_events_recovered_total").await;
    assert!(gateway.stop().await.success());

    let rows = rows(&set.scene).await;
    let stored: BTreeSet<Uuid> = rows.iter().map(|row| row.get("request_id")).collect();
    assert_eq!(rows.len(), stored.len(), "a row is there twice");
    let lost: Vec<_> = requests.difference(&stored).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let interrupted = rows
        .iter()
        .filter(|row| text(row, "error_code") == "gateway_interrupted");
    for row in interrupted.clone() {
        assert_eq!(text(row, "status"), "error");
        assert_eq!(text(row, "usage_quality"), "estimated");
        assert_eq!(text(row, "model"), "claude-sonnet-5");
    }
    let seen = set.upstream_requests();
    assert!(rows.len() >= seen, "{} rows of {seen} requests", rows.len());
    println!(
        "{KILLS} kills, {} answers, {} rows, {} interrupted, {recovered} of the last kill",
        requests.len(),
        rows.len(),
        interrupted.count()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_and_doubles_nothing() {
    check("fsync").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_waits_for_no_disk() {
    check("process").await;
}
