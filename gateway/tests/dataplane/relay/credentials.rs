//! The caller's key stays here; the upstream sees ours.

use http::HeaderMap;
use serde_json::Value;
use testkit::gateway::UPSTREAM_KEY;
use testkit::upstream::Received;

use crate::stage::{Stage, UPSTREAM_REQUEST_ID, json_answer, message, noting};

/// Checks that the upstream was shown one credential, `expected`, and nothing of the caller's key.
fn check(received: &Received, key: &str, expected: (&str, &str)) {
    let credentials: Vec<(&str, &str)> = ["x-api-key", "authorization"]
        .into_iter()
        .flat_map(|name| {
            received
                .headers
                .get_all(name)
                .iter()
                .map(move |value| (name, value))
        })
        .map(|(name, value)| (name, value.to_str().unwrap()))
        .collect();
    assert_eq!(
        credentials,
        [expected],
        "the upstream is shown one credential"
    );
    for (name, value) in &received.headers {
        let shown = value
            .as_bytes()
            .windows(key.len())
            .any(|part| part == key.as_bytes());
        assert!(!shown, "{name} has the caller's key");
    }
}

#[tokio::test]
async fn the_callers_key_is_swapped_in_whichever_header_it_came() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let key = &stage.scene.key;
    let bearer = format!("Bearer {key}");
    let anybody = stage.gateway.client("");
    let clients = [
        ("x-api-key", stage.client()),
        ("bearer", anybody.clone().with("authorization", &bearer)),
        ("both", stage.client().with("authorization", &bearer)),
        (
            "lower case",
            anybody
                .clone()
                .with("authorization", &format!("bearer {key}")),
        ),
        (
            "empty beside",
            anybody.with("x-api-key", "").with("authorization", &bearer),
        ),
        ("proxy", stage.client().with("proxy-authorization", &bearer)),
    ];
    for (case, client) in &clients {
        assert_eq!(client.ask().await.status, 200, "{case}");
        check(&seen.only(), key, ("x-api-key", UPSTREAM_KEY));
    }
    stage.scene.events(clients.len()).await;
    let log = stage.gateway.log();
    assert!(
        !log.contains(key.as_str()),
        "the caller's key is in the log"
    );
    assert!(
        !log.contains(UPSTREAM_KEY),
        "the upstream's key is in the log"
    );
}

#[tokio::test]
async fn an_oauth_token_goes_as_a_bearer_token() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_API_KEY", "sk-ant-oat01-token")
    })
    .await;
    assert_eq!(stage.client().ask().await.status, 200);
    let expected = ("authorization", "Bearer sk-ant-oat01-token");
    check(&seen.only(), &stage.scene.key, expected);
}

#[tokio::test]
async fn the_limits_of_the_shared_key_stay_here() {
    let limits = [
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-input-tokens-reset",
        "anthropic-ratelimit-unified-status",
        "anthropic-priority-input-tokens-limit",
        "anthropic-fast-output-tokens-remaining",
    ];
    let kept = [
        "anthropic-organization-id",
        "anthropic-workspace-id",
        "x-should-retry",
        "cf-ray",
    ];
    let (upstream, _) = noting(move || {
        let mut answer = json_answer(200, message().to_string());
        let names = limits.into_iter().chain(kept);
        let more: HeaderMap = names
            .map(|name| (name.parse().unwrap(), "1".parse().unwrap()))
            .collect();
        answer.headers_mut().extend(more);
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().ask().await;
    for name in limits {
        assert_eq!(answer.header(name), "", "{name} describes the shared key");
    }
    for name in kept {
        assert_eq!(answer.header(name), "1", "{name} is for the caller");
    }
    assert_eq!(answer.header("request-id"), UPSTREAM_REQUEST_ID);
    let metadata: Value = stage.scene.event().await.get("metadata");
    assert_eq!(metadata["upstream_request_id"], UPSTREAM_REQUEST_ID);
}
