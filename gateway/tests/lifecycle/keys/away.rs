//! The database is away: the last state stays in force, and what changed meanwhile counts afterwards.

use http::StatusCode;
use serde_json::Value;
use testkit::{Scene, eventually};

use super::{INSERT, becomes, change, row, some_key, verdict};
use crate::load::{answered, ask_many};
use crate::stage::Stage;

#[tokio::test]
async fn keys_go_on_working_and_changes_made_meanwhile_count_afterwards() {
    let stage = Stage::new().await;
    let (old, new) = (stage.client(), some_key());
    let new_client = stage.gateway.client(&new);
    stage.link.cut();
    change(&stage.scene, "UPDATE api_keys SET status = 'revoked'").await;
    change(&stage.scene, &format!("{INSERT} {}", row(&stage, &new))).await;
    ask_many(&old, 50, 5).await;
    assert_eq!(verdict(&new_client).await, "key_unknown");

    stage.link.restore();
    becomes(&old, "key_revoked").await;
    becomes(&new_client, "ok").await;
}

#[tokio::test]
async fn changes_count_at_once_again_after_an_outage() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        stage.link.cut();
        change(&stage.scene, "UPDATE api_keys SET status = 'revoked'").await;
        stage.link.restore();
        becomes(&stage.client(), "key_revoked").await;
        change(&stage.scene, "UPDATE api_keys SET status = 'active'").await;
        becomes(&stage.client(), "ok").await;
    }
}

#[tokio::test]
async fn a_gateway_that_starts_without_its_database_says_so_and_becomes_ready_when_it_comes() {
    let set = Stage::set(Scene::new().await).await;
    set.link.cut();
    let gateway = set.builder().start_unready().await;
    let unready = gateway.operator().get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let unready = unready.json();
    assert_eq!(unready["ready"], Value::Bool(false));
    let reasons = unready["reasons"].to_string();
    assert!(reasons.contains("database"), "{reasons}");
    let healthy = gateway.operator().get("/healthz").await;
    assert_eq!(healthy.status, StatusCode::OK);

    let stage = set.raise(gateway);
    stage.link.restore();
    stage.gateway.wait_until_ready().await;
    let request = answered(&stage.client().ask().await);
    stage.stored_once(&[request].into()).await;
}

#[tokio::test]
async fn a_good_key_is_not_called_unknown_before_the_keys_are_loaded() {
    let set = Stage::set(Scene::new().await).await;
    set.link.cut();
    let gateway = set.builder().start_unready().await;
    let answer = gateway.client(&set.scene.key).ask().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.error_code(), "overloaded");
    assert_ne!(answer.header("retry-after"), "");
    let stage = set.raise(gateway);
    stage.link.restore();
    eventually("the key works", || async {
        let answer = stage.client().ask().await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
}
