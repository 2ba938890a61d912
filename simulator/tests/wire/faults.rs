//! Failures: asked for, earned, and those that go away.

use http_body_util::Full;
use serde_json::{Value, json};

use crate::client::{Running, message};

#[tokio::test]
async fn every_fault_has_its_status_and_type() {
    let simulator = Running::start().await;
    for (name, status, kind) in [
        ("invalid", 400, "invalid_request_error"),
        ("auth", 401, "authentication_error"),
        ("billing", 402, "billing_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("too_large", 413, "request_too_large"),
        ("rate_limit", 429, "rate_limit_error"),
        ("api", 500, "api_error"),
        ("timeout", 504, "timeout_error"),
        ("overloaded", 529, "overloaded_error"),
    ] {
        let by_header = simulator
            .post("/v1/messages", &json!({}), &[("error", name)])
            .await;
        let suffixed = message(&json!({"model": format!("claude-opus-5@{name}"), "stream": true}));
        let by_model = simulator.post("/v1/messages", &suffixed, &[]).await;
        for answer in [by_header, by_model] {
            let body = answer.json();
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("retry-after"), (status == 429).then_some("1"));
            assert_eq!(body["type"], "error");
            assert_eq!(body["error"]["type"], kind);
            assert_eq!(body["request_id"].as_str(), answer.header("request-id"));
        }
    }
}

#[tokio::test]
async fn retry_headers_are_steered() {
    let simulator = Running::start().await;
    let steering = [
        ("error", "rate_limit"),
        ("should-retry", "false"),
        ("retry-after", "90"),
    ];
    let answer = simulator.post("/v1/messages", &json!({}), &steering).await;
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("retry-after"), Some("90"));
}

#[tokio::test]
async fn counted_faults_go_away() {
    let simulator = Running::start().await;
    let steering = [
        ("error", "overloaded"),
        ("error-times", "2"),
        ("error-key", "mine"),
    ];
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = simulator
            .post("/v1/messages", &message(&json!({})), &steering)
            .await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [529, 529, 200]);
}

#[tokio::test]
async fn requests_without_key_or_version_are_refused() {
    let simulator = Running::start().await;
    let check = async |headers: &[(&str, &str)], status: u16, message: &str| {
        let mut request = simulator.bare("POST", "/v1/messages");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = simulator.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["message"], message);
    };
    check(
        &[("anthropic-version", "2023-06-01")],
        401,
        "x-api-key header is required",
    )
    .await;
    check(
        &[("authorization", "Bearer k")],
        400,
        "anthropic-version: header is required",
    )
    .await;
}

#[tokio::test]
async fn the_body_is_checked() {
    let simulator = Running::start().await;
    let check = async |changes: Value, status: u16, expected: &str| {
        let answer = simulator
            .post("/v1/messages", &message(&changes), &[])
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["message"], expected);
    };
    check(
        json!({"max_tokens": null}),
        400,
        "max_tokens: Field required",
    )
    .await;
    check(json!({"model": "gpt-4"}), 404, "model: gpt-4").await;
    check(
        json!({"model": "claude-opus-5@typo"}),
        404,
        "model: claude-opus-5@typo",
    )
    .await;
    let unknown = "Tool 'x' not found in provided tools";
    check(
        json!({"tool_choice": {"type": "tool", "name": "x"}}),
        400,
        unknown,
    )
    .await;
}

#[tokio::test]
async fn misspelt_steering_is_refused() {
    let simulator = Running::start().await;
    let answer = simulator
        .post("/v1/messages", &message(&json!({})), &[("eror", "api")])
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn compressed_requests_are_read_and_unknown_encodings_refused() {
    let simulator = Running::start().await;
    let mut encoder = flate2::read::GzEncoder::new(
        std::io::Cursor::new(message(&json!({})).to_string()),
        flate2::Compression::fast(),
    );
    let mut packed = Vec::new();
    std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
    for (encoding, status) in [("gzip", 200), ("br", 400)] {
        let mut request = simulator.request("POST", "/v1/messages", packed.clone(), &[]);
        request
            .headers_mut()
            .insert("content-encoding", encoding.parse().unwrap());
        let answer = simulator.send(request).await;
        assert_eq!(answer.status, status);
        if status == 400 {
            let code = &answer.json()["error"]["details"]["error_code"];
            assert_eq!(code, "request_body_encoding_unsupported");
        }
    }
}

#[tokio::test]
async fn cut_bodies_are_shorter_than_they_claim() {
    let simulator = Running::start().await;
    let answer = simulator
        .post("/v1/messages", &message(&json!({})), &[("cut", "10")])
        .await;
    assert!(answer.broke);
    assert_eq!(answer.body().len(), 10);
    assert!(
        answer
            .header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 10
    );
    let body = message(&json!({})).to_string();
    let hung_up = simulator.request("POST", "/v1/messages", body, &[("cut", "headers")]);
    assert!(simulator.open(hung_up).await.is_err());
}

#[tokio::test]
async fn unknown_endpoints_are_not_found() {
    let simulator = Running::start().await;
    for (path, status) in [
        ("/v1/organizations/me", 404),
        ("/v1/messages", 405),
        ("/v2", 404),
    ] {
        let answer = simulator.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.json()["type"], "error");
    }
}
