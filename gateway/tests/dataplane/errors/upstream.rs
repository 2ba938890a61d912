//! 502 and 504: the upstream is not there, breaks off, or says nothing.

use testkit::scene::text;
use testkit::{Upstream, Wire};

use super::{check, expected};
use crate::stage::{Stage, json_answer, message, noting};

const UNREACHABLE: super::Expected = expected(502, "api_error", "upstream_unreachable");
const TIMEOUT: super::Expected = expected(504, "timeout_error", "upstream_timeout");

/// Checks the only event.
async fn check_event(stage: &Stage, status: &str, code: &str, quality: &str) {
    let event = stage.scene.event().await;
    assert_eq!(text(&event, "status"), status, "the event's status");
    assert_eq!(text(&event, "error_code"), code, "the event's cause");
    assert_eq!(
        text(&event, "usage_quality"),
        quality,
        "the event's quality"
    );
    assert_eq!(
        text(&event, "model"),
        "claude-sonnet-5",
        "the model asked for"
    );
    assert_eq!(
        event.get::<_, i32>("output_tokens"),
        0,
        "no output was seen"
    );
    let rows = stage
        .gateway
        .metric("mindweave_events_admitted_total")
        .await;
    assert_eq!(rows, 1.0, "one event was admitted");
}

#[tokio::test]
async fn an_upstream_that_refuses_connections_is_a_502_and_cost_nothing() {
    let stage = Stage::before(Upstream::absent().await).await;
    check("refused", &stage.client().ask().await, UNREACHABLE);
    check_event(&stage, "error", "upstream_unreachable", "exact").await;
    assert_eq!(
        stage.ended("messages", 502, "upstream_unreachable").await,
        1.0
    );
}

/// Reads one request and says `last` before it closes the connection.
async fn closing_after(last: &'static str) -> Stage {
    let upstream = Upstream::wire(move |mut wire: Wire| async move {
        wire.request().await;
        wire.send(last).await;
    })
    .await;
    Stage::before(upstream).await
}

#[tokio::test]
async fn an_upstream_that_closes_before_its_answer_is_a_502_and_may_have_cost() {
    let stage = closing_after("").await;
    check("closed", &stage.client().ask().await, UNREACHABLE);
    check_event(&stage, "error", "upstream_unreachable", "estimated").await;
}

#[tokio::test]
async fn an_upstream_that_closes_within_its_head_is_a_502() {
    let stage = closing_after("HTTP/1.1 200 OK\r\ncontent-type: appl").await;
    check("cut head", &stage.client().ask().await, UNREACHABLE);
    check_event(&stage, "error", "upstream_unreachable", "estimated").await;
}

#[tokio::test]
async fn an_upstream_that_speaks_something_else_is_a_502() {
    let stage = closing_after("220 smtp.example ESMTP ready\r\n\r\n").await;
    check("SMTP", &stage.client().ask().await, UNREACHABLE);
    check_event(&stage, "error", "upstream_unreachable", "estimated").await;
}

#[tokio::test]
async fn an_upstream_without_a_word_is_a_504() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")
    })
    .await;
    check("silent", &stage.client().ask().await, TIMEOUT);
    check_event(&stage, "timeout", "upstream_timeout", "estimated").await;
    assert_eq!(stage.ended("messages", 504, "upstream_timeout").await, 1.0);
}

/// The clock of the first byte starts when the request is sent, not when it begins to be.
#[tokio::test]
async fn a_slow_upload_is_not_the_upstreams_silence() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_FIRST_BYTE_TIMEOUT", "300ms")
    })
    .await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/files", "content-length: 8\r\n"))
        .await;
    for byte in b"12345678" {
        // The caller's pace is what is tested: longer in sum than the timeout.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        wire.send([*byte]).await;
    }
    assert_eq!(wire.answer().await.status, 200, "a slow upload is answered");
    assert_eq!(seen.only().body, "12345678");
}
