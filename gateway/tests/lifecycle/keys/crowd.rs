//! Many keys, and many that are none.

use std::sync::Arc;

use http::StatusCode;
use testkit::{Client, Gateway, Scene, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{change, some_key, verdict};
use crate::stage::Stage;

const KEYS: usize = 10_000;
const UNKNOWN: usize = 5_000;

fn text(number: usize) -> String {
    format!("mw_sk_live_crowd_{number}")
}

async fn make_keys(scene: &Scene) {
    let (project, user) = (scene.tenant.project_id, scene.tenant.user_id);
    let sql = format!(
        "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
         SELECT '{project}', '{user}', 'mw_sk_live_',
                encode(sha256(('mw_sk_live_crowd_' || n)::bytea), 'hex'), 'key ' || n
         FROM generate_series(1, {KEYS}) AS n"
    );
    change(scene, &sql).await;
}

async fn are_loaded(gateway: &Gateway, keys: usize) {
    eventually(&format!("{keys} keys are loaded"), || async {
        let loaded = gateway.metric("mindweave_keys_loaded").await;
        (loaded >= keys as f64).then_some(())
    })
    .await;
}

async fn check_some(gateway: &Gateway) {
    for number in (1..=KEYS).step_by(KEYS / 50).chain([KEYS]) {
        let client = gateway.client(&text(number));
        assert_eq!(verdict(&client).await, "ok", "key {number}");
    }
    let beyond = gateway.client(&text(KEYS + 1));
    assert_eq!(verdict(&beyond).await, "key_unknown");
}

#[tokio::test]
async fn ten_thousand_keys_are_there_from_the_start() {
    let scene = Scene::new().await;
    make_keys(&scene).await;
    let began = Instant::now();
    let stage = Stage::on(scene, |builder| builder).await;
    println!("ready with {KEYS} keys after {:?}", began.elapsed());
    are_loaded(&stage.gateway, KEYS + 1).await;
    check_some(&stage.gateway).await;
}

#[tokio::test]
async fn ten_thousand_keys_made_in_one_transaction_count_soon() {
    let stage = Stage::new().await;
    let began = Instant::now();
    make_keys(&stage.scene).await;
    are_loaded(&stage.gateway, KEYS + 1).await;
    println!("{KEYS} new keys count after {:?}", began.elapsed());
    check_some(&stage.gateway).await;
    change(&stage.scene, "DELETE FROM api_keys WHERE name LIKE 'key %'").await;
    eventually("none of them counts any more", || async {
        let loaded = stage.gateway.metric("mindweave_keys_loaded").await;
        (loaded < 2.0).then_some(())
    })
    .await;
}

/// Kilobytes of memory that the gateway holds.
fn resident_kb(gateway: &Gateway) -> u64 {
    let pid = gateway.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Asks with so many keys that nobody ever made.
async fn ask_with_unknown_keys(client: Client, count: usize) {
    for _ in 0..count {
        let stranger = client.clone().with("x-api-key", &some_key());
        let answer = stranger.ask().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.error_code(), "key_unknown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_ask_nothing_of_the_database_and_leave_nothing_behind() {
    let stage = Arc::new(Stage::configured(|b| b.env("MINDWEAVE_LOG_LEVEL", "info")).await);
    ask_with_unknown_keys(stage.client(), 500).await;
    // Nobody can ask it now.
    stage.link.cut();
    let before = resident_kb(&stage.gateway);
    let askers: JoinSet<()> = (0..10)
        .map(|_| ask_with_unknown_keys(stage.client(), UNKNOWN / 10))
        .collect();
    askers.join_all().await;
    let grown = resident_kb(&stage.gateway).saturating_sub(before);
    println!("{UNKNOWN} unknown keys: {grown} kB more");
    assert!(grown < 16 << 10, "{grown} kB more");
    assert_eq!(verdict(&stage.client()).await, "ok");
    let [admitted, ..] = stage.books().await;
    assert!(admitted < 1.0, "{admitted} were admitted");
    assert_eq!(stage.upstream_requests(), 1);
}
