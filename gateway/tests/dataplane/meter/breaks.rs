//! Answers that are not whole: the upstream reports an error, breaks off, or falls silent.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use testkit::client::question;
use testkit::upstream::whole;
use testkit::{Upstream, Wire};
use tokio::sync::Notify;

use super::{Feed, check_end, check_figures, feeding, message_start, sse, text_delta};
use crate::stage::{Stage, event_stream, noting};

#[tokio::test]
async fn an_error_within_a_stream_leaves_an_estimate() {
    let text = sse(&[
        message_start(),
        text_delta(&"x".repeat(80)),
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } }),
    ]);
    let body = text.clone();
    let (upstream, _) = noting(move || event_stream(whole(body.clone()))).await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().ask().await;
    assert_eq!(answer.body, text, "the error passes as it came");
    let event = stage.scene.event().await;
    check_figures("error event", &event, [11, 20, 33, 44, 4]);
    check_end(
        "error event",
        &event,
        ["error", "overloaded_error", "estimated"],
    );
}

#[tokio::test]
async fn a_stream_that_the_upstream_cuts_is_an_error_with_an_estimate() {
    let (upstream, mut feeds) = feeding().await;
    let stage = Stage::before(upstream).await;
    let events = [
        message_start(),
        text_delta(&"x".repeat(41)),
        text_delta("yz"),
    ];
    for client in [stage.client(), stage.http2_client()] {
        let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
        let mut body = asking.await.unwrap().into_body();
        let feed = feeds.recv().await.unwrap();
        feed.give(&events).await;
        let mut got = Vec::new();
        while got.len() < sse(&events).len() {
            let frame = body.frame().await.unwrap().expect("the events");
            got.extend_from_slice(&frame.into_data().unwrap());
        }
        feed.break_off().await;
        let end = body.frame().await;
        assert!(
            matches!(end, Some(Err(_))),
            "the caller sees that the answer is not whole: {end:?}"
        );
    }
    for event in stage.scene.events(2).await {
        check_figures("cut", &event, [11, 11, 33, 44, 4]);
        check_end(
            "cut",
            &event,
            ["error", "upstream_unreachable", "estimated"],
        );
    }
    assert_eq!(
        stage.ended("messages", 200, "upstream_unreachable").await,
        2.0
    );
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9000\r\n\r\n";

/// Sends `first`; once told to, `last`, and closes; the caller's part is all that came by `last`.
async fn cut_at_once(first: &'static str, last: String) -> (Stage, String) {
    let (asked, told) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gone = Arc::new(Notify::new());
    let notes = (Arc::clone(&asked), Arc::clone(&told), Arc::clone(&gone));
    let upstream = Upstream::wire(move |mut wire: Wire| {
        let (last, (asked, told, gone)) = (last.clone(), notes.clone());
        async move {
            wire.request().await;
            wire.send(first).await;
            asked.notify_one();
            told.notified().await;
            wire.send(last).await;
            drop(wire);
            gone.notify_one();
        }
    })
    .await;
    let stage = Stage::before(upstream).await;
    let question = question(true).to_string();
    let length = format!("content-length: {}\r\n", question.len());
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/messages", &length) + &question)
        .await;
    asked.notified().await;
    if !first.is_empty() {
        assert_eq!(wire.head().await.status(), 200);
    }
    // Halted, the gateway finds the last bytes and the end of the connection together.
    stage.gateway.pause().await;
    told.notify_one();
    gone.notified().await;
    stage.gateway.resume();
    let got = wire.rest().await;
    (stage, String::from_utf8(got.to_vec()).unwrap())
}

const CUT: [&str; 3] = ["error", "upstream_unreachable", "estimated"];

/// The last events and the end of the connection may come at once: that is no reason to lose the events.
#[tokio::test]
async fn events_that_came_with_a_cut_reach_the_caller() {
    let events = sse(&[message_start(), text_delta("Hello")]);
    let (stage, got) = cut_at_once(HEAD, events.clone()).await;
    assert_eq!(got, events, "the caller gets the events that came");
    check_end("events", &stage.scene.event().await, CUT);

    let (stage, got) = cut_at_once("", format!("{HEAD}{events}")).await;
    assert!(
        got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with(&events),
        "the caller gets the head and the events that came, not {got:?}"
    );
    check_end("head and events", &stage.scene.event().await, CUT);
}

/// An answer of which the upstream sent the head is not one of which it sent nothing.
#[tokio::test]
async fn a_head_that_came_with_a_cut_reaches_the_caller() {
    let (stage, got) = cut_at_once("", HEAD.to_owned()).await;
    assert!(
        got.starts_with("HTTP/1.1 200 OK\r\n") || got.starts_with("HTTP/1.1 502"),
        "the caller gets the head that came, or is told that the upstream broke off, not {got:?}"
    );
    check_end("head", &stage.scene.event().await, CUT);
}

#[tokio::test]
async fn json_that_the_upstream_cuts_is_an_error() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        wire.send(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n",
        )
        .await;
        wire.send(r#"{"type":"message","model":"claude-sonnet-5","content":[{"text":"#)
            .await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let client = stage.client();
    let answer = client
        .begin(Method::POST, "/v1/messages", question(false).to_string())
        .await;
    let body = answer.unwrap().into_body().collect().await;
    assert!(
        body.is_err(),
        "the caller sees that the answer is not whole"
    );
    let event = stage.scene.event().await;
    check_end(
        "cut",
        &event,
        ["error", "upstream_unreachable", "estimated"],
    );
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_a_timeout() {
    let upstream = Upstream::start(|_| async {
        let (feed, body) = Feed::new();
        testkit::spawn(async move {
            feed.give(&[message_start(), text_delta("Hello")]).await;
            feed.unwanted().await;
        });
        event_stream(body)
    })
    .await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_IDLE_TIMEOUT", "300ms")
    })
    .await;
    let client = stage.client();
    let answer = client
        .begin(Method::POST, "/v1/messages", question(true).to_string())
        .await;
    let body = answer.unwrap().into_body().collect().await;
    assert!(
        body.is_err(),
        "the caller sees that the answer is not whole"
    );
    let event = stage.scene.event().await;
    check_figures("silent", &event, [11, 2, 33, 44, 4]);
    check_end(
        "silent",
        &event,
        ["timeout", "upstream_timeout", "estimated"],
    );
    assert_eq!(stage.ended("messages", 200, "upstream_timeout").await, 1.0);
}

/// A stream that goes on slowly is not silent, however long it takes in all.
#[tokio::test]
async fn a_slow_stream_is_not_silent() {
    let upstream = Upstream::start(|_| async {
        let (feed, body) = Feed::new();
        testkit::spawn(async move {
            for event in super::whole_stream() {
                // The upstream's pace is what is tested: 7 pauses, in sum longer than the timeout.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                feed.give(&[event]).await;
            }
        });
        event_stream(body)
    })
    .await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_IDLE_TIMEOUT", "400ms")
    })
    .await;
    let answer = stage.client().ask().await;
    assert_eq!(answer.body, sse(&super::whole_stream()));
    check_end("slow", &stage.scene.event().await, ["success", "", "exact"]);
}
