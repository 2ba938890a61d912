//! Bodies that rules are shown beside those of messages, and bodies that nobody looks into.

use super::*;

/// What comes of a body, in a word.
async fn code(stage: &Stage, path: &str, body: &Value) -> String {
    let answer = stage.client().post(path, body).await;
    let error = &answer.json()["error"];
    let code = error["details"]["error_code"].as_str();
    code.unwrap_or("passed").to_owned()
}

#[tokio::test]
async fn rules_about_models_hold_wherever_a_body_says_which_model_works() {
    let stage = stage().await;
    let rules = json!({"denied_models": ["sonnet"], "max_tokens": 100_000});
    put_policy(&stage, "no sonnet", "access", rules).await;
    until(&stage, StatusCode::FORBIDDEN).await;
    let denied = "model_not_allowed";
    for (path, body, expected) in [
        (
            "/v1/complete",
            json!({"model": "claude-sonnet-5", "prompt": "Hello"}),
            denied,
        ),
        (
            "/v1/complete",
            json!({"model": "x", "max_tokens_to_sample": 100_001}),
            "policy_denied",
        ),
        (
            "/v1/agents",
            json!({"model": {"id": "claude-sonnet-5"}}),
            denied,
        ),
        (
            "/v1/agents/agent_1",
            json!({"model": "claude-sonnet-5"}),
            denied,
        ),
        ("/v1/dreams", json!({"model": "claude-sonnet-5"}), denied),
        ("/v1/sessions", json!({"model": "claude-sonnet-5"}), denied),
        ("/v1/sessions", json!([]), "body_invalid"),
        ("/v1/skills", json!({"model": "claude-sonnet-5"}), "passed"),
        ("/v1/agents", json!({"model": "claude-haiku-4-5"}), "passed"),
    ] {
        assert_eq!(code(&stage, path, &body).await, expected, "{path} {body}");
    }
}

#[tokio::test]
async fn a_refusal_tells_what_is_left_as_well() {
    let stage = stage().await;
    put_policy(
        &stage,
        "rate",
        "usage",
        json!({"max_requests_per_minute": 1}),
    )
    .await;
    let refused = until(&stage, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused.header("anthropic-ratelimit-requests-limit"), "1");
    assert_eq!(
        refused.header("anthropic-ratelimit-requests-remaining"),
        "0"
    );
}
