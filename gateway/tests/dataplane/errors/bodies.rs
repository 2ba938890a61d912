//! 400, 404, 413 and 431: requests that can't be right.

use http::Method;
use serde_json::json;
use testkit::Upstream;
use testkit::client::{Answer, question};
use testkit::upstream::pieces;

use super::{Expected, check, expected};
use crate::stage::{Stage, chunked, gzip, json_answer, message, noting};

const MIB: usize = 1 << 20;

const fn invalid(code: &'static str) -> Expected {
    expected(400, "invalid_request_error", code)
}

const TOO_LARGE: Expected = expected(413, "request_too_large", "body_too_large");

async fn stage() -> Stage {
    let (upstream, _) = noting(|| json_answer(200, message().to_string())).await;
    Stage::before(upstream).await
}

/// Nothing but the request that is made now left a row.
async fn only_a_good_request_leaves_a_row(stage: &Stage) {
    assert_eq!(stage.client().ask().await.status, 200);
    stage.scene.event().await;
}

#[tokio::test]
async fn a_body_that_names_no_model_is_refused() {
    let stage = stage().await;
    let client = stage.client();
    for body in [
        "",
        "{",
        "[]",
        "model=claude",
        r#"{"model":"a"} x"#,
        "{}",
        r#"{"model":7}"#,
    ] {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let answer = client.send(Method::POST, path, body).await;
            check(
                &format!("{path} {body:?}"),
                &answer,
                invalid("body_invalid"),
            );
        }
    }
    assert_eq!(stage.ended("messages", 400, "body_invalid").await, 7.0);
    only_a_good_request_leaves_a_row(&stage).await;
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_refused() {
    let stage = stage().await;
    let body = question(false).to_string();
    let cut = &gzip(body.as_bytes())[..20];
    for (encoding, body, code) in [
        (
            "compress",
            body.as_bytes(),
            "request_body_encoding_unsupported",
        ),
        (
            "gzip, snappy",
            body.as_bytes(),
            "request_body_encoding_unsupported",
        ),
        ("gzip", body.as_bytes(), "request_body_encoding_invalid"),
        ("gzip", cut, "request_body_encoding_invalid"),
        ("br", b"\x00\x01not brotli", "request_body_encoding_invalid"),
    ] {
        let client = stage.client().with("content-encoding", encoding);
        let answer = client
            .send(Method::POST, "/v1/messages", body.to_vec())
            .await;
        check(encoding, &answer, invalid(code));
    }
    only_a_good_request_leaves_a_row(&stage).await;
}

#[tokio::test]
async fn nothing_is_to_be_found_outside_the_api() {
    let stage = stage().await;
    let unknown = expected(404, "not_found_error", "path_unknown");
    for path in [
        "/",
        "/v1",
        "/v2/messages",
        "/healthz",
        "/metrics",
        "/V1/messages",
        "/v1x/",
    ] {
        check(path, &stage.client().get(path).await, unknown);
    }
    // The path is looked at before the key.
    check("no key", &stage.gateway.client("").get("/x").await, unknown);
    assert_eq!(stage.ended("none", 404, "path_unknown").await, 8.0);
}

/// A question of so many bytes.
fn large_question(bytes: usize) -> Vec<u8> {
    let padding = "x".repeat(bytes);
    json!({ "model": "claude-sonnet-5", "padding": padding })
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_caller_that_only_reads_when_all_is_sent_learns_that_it_was_too_much() {
    let stage = stage().await;
    let body = large_question(40 * MIB);

    let mut wire = stage.wire().await;
    let length = format!("content-length: {}\r\n", body.len());
    wire.send(stage.head("POST", "/v1/messages", &length)).await;
    wire.send(&body).await;
    let answer = wire.answer().await;
    check("content-length", &answer, TOO_LARGE);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("33554432"),
        "the message names the limit: {:?}",
        answer.body
    );

    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/messages", "transfer-encoding: chunked\r\n"))
        .await;
    let chunks: Vec<&[u8]> = body.chunks(64 << 10).collect();
    wire.send(chunked(&chunks)).await;
    check("chunked", &wire.answer().await, TOO_LARGE);

    let client = stage.http2_client();
    let answer = client.send(Method::POST, "/v1/messages", body).await;
    check("HTTP/2", &answer, TOO_LARGE);
    only_a_good_request_leaves_a_row(&stage).await;
}

/// Sends all of a body of 5 MB before it reads the answer.
async fn answer_to_upload(stage: &Stage, path: &str, key: &str) -> Answer {
    let body = vec![b'x'; 5 * MIB];
    let mut wire = stage.wire().await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: g\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    wire.send(head).await;
    wire.send(&body).await;
    wire.answer().await
}

#[tokio::test]
async fn a_caller_that_only_reads_when_all_is_sent_learns_of_any_refusal() {
    let stage = Stage::before(Upstream::absent().await).await;
    let unknown = expected(401, "authentication_error", "key_unknown");
    let answer = answer_to_upload(&stage, "/v1/messages", "mw_sk_live_nobody").await;
    check("no such key", &answer, unknown);
    let answer = answer_to_upload(&stage, "/nowhere", &stage.scene.key).await;
    check(
        "no such path",
        &answer,
        expected(404, "not_found_error", "path_unknown"),
    );
}

/// The upload is streamed: that there is no upstream turns out while the caller is still sending.
#[tokio::test]
async fn a_caller_that_only_reads_when_all_is_sent_learns_that_nobody_takes_its_upload() {
    let stage = Stage::before(Upstream::absent().await).await;
    let answer = answer_to_upload(&stage, "/v1/files", &stage.scene.key).await;
    check(
        "no upstream",
        &answer,
        expected(502, "api_error", "upstream_unreachable"),
    );
}

/// A body that is streamed is over the limit only when it is half through: the caller is still sending then.
#[tokio::test]
async fn a_streamed_upload_beyond_the_limit_is_refused_in_the_envelope() {
    let stage = stage().await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/sessions", "transfer-encoding: chunked\r\n"))
        .await;
    let piece = vec![b'x'; MIB];
    // What is left at the limit is more than the kernel takes off the caller's hands.
    wire.send(chunked(&[&piece[..]; 64])).await;
    let answer = wire.answer().await;
    check("chunked, not inspected", &answer, TOO_LARGE);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("33554432"),
        "the message names the endpoint's limit: {:?}",
        answer.body
    );
}

#[tokio::test]
async fn the_limit_can_be_lowered_and_counts_decoded_bytes() {
    let (upstream, _) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_PROXY_MAX_BODY_BYTES", "100000")
    })
    .await;
    let path = "/v1/messages";
    let (fits, exceeds) = (large_question(90_000), large_question(110_000));
    let plain = stage.client();
    let zipped = plain.clone().with("content-encoding", "gzip");
    let answer = plain.send(Method::POST, path, exceeds.clone()).await;
    check("plain", &answer, TOO_LARGE);
    let answer = zipped.send(Method::POST, path, gzip(&exceeds)).await;
    check("gzip", &answer, TOO_LARGE);
    let halves = vec![
        exceeds[..50_000].to_vec().into(),
        exceeds[50_000..].to_vec().into(),
    ];
    let answer = plain.send_body(Method::POST, path, pieces(halves)).await;
    check("chunked", &answer, TOO_LARGE);
    assert_eq!(
        plain.send(Method::POST, path, fits.clone()).await.status,
        200
    );
    assert_eq!(
        zipped.send(Method::POST, path, gzip(&fits)).await.status,
        200
    );
    stage.scene.events(2).await;
}

#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let stage = stage().await;
    let bomb = gzip(&large_question(300 * MIB));
    assert!(bomb.len() < 4 * MIB, "the bomb is small: {}", bomb.len());
    let client = stage.client().with("content-encoding", "gzip");
    let answer = client.send(Method::POST, "/v1/messages", bomb).await;
    check("bomb", &answer, TOO_LARGE);
    only_a_good_request_leaves_a_row(&stage).await;
}

#[tokio::test]
async fn a_caller_that_asks_first_learns_of_a_refusal_before_it_sends() {
    let stage = stage().await;
    let length = format!("expect: 100-continue\r\ncontent-length: {}\r\n", 40 * MIB);
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/messages", &length)).await;
    check("too large", &wire.answer().await, TOO_LARGE);

    let mut wire = stage.wire().await;
    wire.send("POST /v1/messages HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n")
        .await;
    let missing = expected(401, "authentication_error", "key_missing");
    check("no key", &wire.answer().await, missing);
}

const HEADERS_TOO_LARGE: Expected = expected(431, "invalid_request_error", "headers_too_large");

#[tokio::test]
async fn headers_that_are_too_large_are_refused_in_the_envelope() {
    let stage = stage().await;
    for bytes in [70_000, 300_000] {
        let client = stage.client().with("x-padding", &"x".repeat(bytes));
        let case = format!("{bytes} bytes");
        check(&case, &client.ask().await, HEADERS_TOO_LARGE);
        let client = stage.http2_client().with("x-padding", &"x".repeat(bytes));
        let case = format!("{bytes} bytes, HTTP/2");
        check(&case, &client.ask().await, HEADERS_TOO_LARGE);
    }
    assert_eq!(
        stage
            .client()
            .with("x-padding", &"x".repeat(50_000))
            .ask()
            .await
            .status,
        200
    );
    stage.scene.event().await;
}

/// Small headers, many of them: within the bytes that are allowed, though more than most servers take.
#[tokio::test]
async fn many_small_headers_pass_or_are_refused_in_the_envelope() {
    let stage = stage().await;
    let many: String = (0..300).map(|n| format!("x-header-{n}: {n}\r\n")).collect();
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", "/v1/models", &many)).await;
    let answer = wire.answer().await;
    if answer.status != 200 {
        check("300 headers", &answer, HEADERS_TOO_LARGE);
    }
}
