//! The prices in force: the build's, a file's, another file's without a restart.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::client::question;
use testkit::command::run;
use testkit::scene::text;
use testkit::{Scene, Upstream, eventually};

use crate::MINDWEAVE;

/// The embedded book.
pub(crate) fn book() -> Value {
    serde_json::from_str(include_str!("../../../domain/src/pricing/prices.json")).unwrap()
}

/// Puts a book into a folder, whole at once.
pub(crate) fn write_book(folder: &TempDir, book: &Value) -> PathBuf {
    let (path, new) = (folder.path().join("prices.json"), folder.path().join("new"));
    std::fs::write(&new, book.to_string()).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

#[tokio::test]
async fn a_price_file_is_followed_while_the_gateway_runs() {
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let mut book = book();
    book["version"] = json!("first");
    let path = write_book(&folder, &book);
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .env("MINDWEAVE_PRICES_FILE", path.to_str().unwrap())
        .start()
        .await;
    let client = gateway.client(&scene.key);
    client.ask().await;
    assert_eq!(text(&scene.event().await, "price_version"), "first");

    book["version"] = json!("second");
    write_book(&folder, &book);
    eventually("the new prices are in force", async || {
        gateway
            .log()
            .contains("new prices are in force")
            .then_some(())
    })
    .await;
    client.ask().await;
    assert_eq!(text(&scene.events(2).await[1], "price_version"), "second");

    std::fs::write(&path, "{\"version\": ").unwrap();
    eventually("the fault is seen", async || {
        (gateway.metric("mindweave_price_file_faulty").await > 0.0).then_some(())
    })
    .await;
    assert!(
        gateway.log().contains("EOF while parsing"),
        "{}",
        gateway.log()
    );
    client.ask().await;
    assert_eq!(text(&scene.events(3).await[2], "price_version"), "second");
}

#[tokio::test]
async fn a_faulty_price_file_is_a_fault_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let mut faulty = book();
    faulty["models"][3]["prices"][1]["from"] = json!("soon");
    let path = write_book(&folder, &faulty);
    let ended = run(
        MINDWEAVE,
        &["check-config"],
        &[("MINDWEAVE_PRICES_FILE", path.to_str().unwrap())],
    )
    .await;
    assert_eq!(ended.code, Some(64), "{}", ended.err);
    for said in [
        "prices.file",
        "prices.json: models[3].prices[1].from is no day",
    ] {
        assert!(ended.err.contains(said), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_told_and_never_just_free() {
    let scene = Scene::new().await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    let unpriced = "mindweave_unpriced_events_total{reason=\"unknown_model\"}";
    assert_eq!(
        gateway.metric(unpriced).await,
        0.0,
        "it is there before it is needed"
    );
    let mut unknown = question(false);
    unknown["model"] = json!("claude-of-tomorrow");
    client.post("/v1/messages", &unknown).await;
    client.ask().await;
    let events = scene.events(2).await;
    let metadata: Value = events[0].get("metadata");
    assert_eq!(metadata["unpriced"], "unknown_model");
    assert_eq!(text(&events[0], "price_version"), "");
    assert_eq!(gateway.metric(unpriced).await, 1.0);
    let cents: f64 = events[1].get::<_, String>("cost").parse().unwrap();
    assert!(cents > 0.0);
    let spent = gateway
        .metric("mindweave_cost_usd_total{model=\"claude-sonnet-5\"}")
        .await;
    assert!((spent * 100.0 - cents).abs() < 1e-9, "{spent} {cents}");
}

#[tokio::test]
async fn what_is_not_billed_costs_nothing_and_says_why() {
    let scene = Scene::new().await;
    let test_key = scene.tenant.key(&scene.sql, domain::KeyKind::Test).await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    let mut of_user = question(false);
    of_user["billing_policy"] = json!({"type": "billing_policy", "bill_to": "user_profile"});
    client.post("/v1/messages", &of_user).await;
    gateway.client(&test_key).ask().await;
    for (event, reason) in scene.events(2).await.iter().zip(["user_profile", "test"]) {
        let metadata: Value = event.get("metadata");
        assert_eq!(metadata["free"], reason);
        assert!(event.get::<_, i32>("output_tokens") > 0);
        assert_eq!(event.get::<_, String>("cost").parse::<f64>().unwrap(), 0.0);
        assert_eq!(text(event, "price_version"), "");
    }
}
