//! Which rules items are held to, and what becomes of those that only warn.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;

use super::bodies::check_passes;
use super::{BATCHES, MIB, batch, item, stage};
use crate::policies::put_policy;

#[tokio::test]
async fn a_policy_that_warns_does_so_once_and_lets_pass() {
    let warn = json!({"denied_models": ["opus", "haiku", "sonnet"], "action": "warn"});
    let log = json!({"expression": "request.max_tokens > 10", "action": "log"});
    let policies = [("careful", "access", warn), ("logs", "custom", log)];
    let (stage, seen) = stage(&policies).await;
    for bytes in [0, 2 * MIB] {
        let matches = stage.gateway.metric("mindweave_policy_matches_total").await;
        let (_, body) = batch(bytes, "claude-opus-5");
        let answer = stage
            .client()
            .send(Method::POST, BATCHES, body.clone())
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(seen.only().body == body, "byte for byte");
        let warnings = answer.headers.get_all("x-mindweave-warning");
        let warnings: Vec<_> = warnings.iter().map(|it| it.to_str().unwrap()).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("requests[0]: "), "{warnings:?}");
        assert!(
            warnings[0].ends_with("(policy \"careful\")"),
            "{warnings:?}"
        );
        let after = stage.gateway.metric("mindweave_policy_matches_total").await;
        assert_eq!(after - matches, 1.0);
    }
    // Nothing refuses, so neither does a body that can't be read.
    check_passes(&stage, &seen).await;
}

#[tokio::test]
async fn items_are_held_to_a_projects_models_and_to_compliance_as_well() {
    let compliance = json!({"required_metadata": ["user_id"],
        "blocked_patterns": [{"name": "aws-key", "pattern": "AKIA[0-9A-Z]{16}"}]});
    let (stage, seen) = stage(&[]).await;
    let sql = r#"UPDATE projects SET settings = '{"allowed_models": ["sonnet"]}'"#;
    stage.scene.sql.batch_execute(sql).await.unwrap();
    let (_, body) = batch(0, "claude-haiku-4-5");
    eventually("the project's models are in force", || async {
        let answer = stage
            .client()
            .send(Method::POST, BATCHES, body.clone())
            .await;
        (answer.error_code() == "model_not_allowed").then_some(())
    })
    .await;
    seen.take();
    put_policy(&stage, "compliance", "compliance", compliance).await;
    let said = |body: Value| {
        let client = stage.client();
        async move {
            let answer = client.post(BATCHES, &body).await;
            answer.json()["error"]["message"].to_string()
        }
    };
    let with = |text: &str, metadata: Value| {
        let mut item = item(0, "claude-sonnet-5", text);
        item["params"]["metadata"] = metadata;
        json!({ "requests": [item] })
    };
    let said = &said;
    eventually("the policy is in force", || async {
        let message = said(with("Hello", json!({}))).await;
        message
            .contains("metadata.user_id is required")
            .then_some(())
    })
    .await;
    seen.take();
    let known = json!({"user_id": "u"});
    let message = said(with("AKIAABCDEFGHIJKLMNOP", known.clone())).await;
    assert!(message.contains("aws-key"), "{message}");
    assert!(seen.take().is_empty());
    assert_eq!(said(with("Hello", known)).await, "null");
    seen.only();
}
