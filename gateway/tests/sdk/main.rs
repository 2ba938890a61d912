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

use testkit::{Scene, Upstream};
use tokio::process::Command;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");

async fn check(language: &str, version: &str) {
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;

    let cases = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(language);
    let output = Command::new(cases.join("run.sh"))
        .arg(version)
        .env("GATEWAY_URL", gateway.ready_text("proxy_url"))
        .env("GATEWAY_KEY", &scene.key)
        .output()
        .await
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{language} {version}:\n{out}\n{err}"
    );
    println!("{out}\n{err}");

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
