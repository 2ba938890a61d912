//! The official SDKs of the Claude API against the real binary: the newest of each language, and the newest
//! of its 0.x family. The cases are in `python/` and `typescript/`; here is what they run against.
//!
//! The SDKs are installed on first use and kept in `.test/` of the workspace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

use std::path::Path;

use domain::KeyHash;
use testkit::{Gateway, Scene, Upstream};
use tokio::process::Command;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");

/// What runs the cases of a language against a gateway.
fn cases(language: &str, version: &str, gateway: &Gateway) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(language);
    let mut cases = Command::new(folder.join("run.sh"));
    cases
        .arg(version)
        .env("GATEWAY_URL", gateway.ready_text("proxy_url"));
    cases
}

async fn run(cases: &mut Command) {
    let output = cases.output().await.unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{cases:?}:\n{out}\n{err}");
    println!("{out}\n{err}");
}

async fn check(language: &str, version: &str) {
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;

    let mut cases = cases(language, version, &gateway);
    run(cases.env("GATEWAY_KEY", &scene.key)).await;

    // Whatever a client did, the books balance.
    let (admitted, closed) = (
        gateway.metric("mindweave_events_admitted_total").await,
        gateway.metric("mindweave_events_closed_total").await,
    );
    assert!(admitted > 0.0);
    assert!(
        (admitted - closed).abs() < f64::EPSILON,
        "{admitted} admitted, {closed} closed"
    );
}

#[tokio::test]
async fn python_newest() {
    check("python", "newest").await;
}

#[tokio::test]
async fn python_newest_of_0x() {
    check("python", "0x").await;
}

#[tokio::test]
async fn typescript_newest() {
    check("typescript", "newest").await;
}

#[tokio::test]
async fn typescript_newest_of_0x() {
    check("typescript", "0x").await;
}

/// The reports of the admin listener, of what one request has used.
#[tokio::test]
async fn python_newest_reads_the_reports() {
    let scene = Scene::new().await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    assert!(client.ask().await.status.is_success());
    scene.events(1).await;
    let key = "mw_ak_reports";
    let sql =
        "INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES ($1, 'viewer', 'sdk', $2)";
    let hash = KeyHash::of(key.as_bytes()).to_hex();
    scene
        .sql
        .execute(sql, &[&scene.tenant.org_id, &hash])
        .await
        .unwrap();
    let mut cases = cases("python", "newest", &gateway);
    cases
        .arg("admin_reports")
        .env("GATEWAY_KEY", &scene.key)
        .env("ADMIN_URL", gateway.ready_text("admin_url"))
        .env("ADMIN_KEY", key);
    run(&mut cases).await;
}
