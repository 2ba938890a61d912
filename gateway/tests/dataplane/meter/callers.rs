//! Callers that leave: in the middle, before the head, or as soon as they have what they came for.

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use testkit::client::question;
use testkit::{Upstream, eventually};
use tokio::sync::{mpsc, oneshot};

use super::{check_end, check_figures, feeding, message_start, sse, text_delta, whole_stream};
use crate::stage::Stage;

#[tokio::test]
async fn a_caller_that_leaves_a_stream_cancels_it_upstream() {
    let (upstream, mut feeds) = feeding().await;
    let stage = Stage::before(upstream).await;
    for (case, http2) in [("HTTP/1.1", false), ("HTTP/2", true)] {
        let client = stage.client_over(http2);
        let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
        let mut body = asking.await.unwrap().into_body();
        let feed = feeds.recv().await.unwrap();
        feed.give(&[message_start(), text_delta(&"x".repeat(40))])
            .await;
        body.frame().await.unwrap().unwrap();
        let open = stage.gateway.metric("mindweave_open_streams").await;
        assert_eq!(open, 1.0, "{case}: a stream is open");
        drop((body, client));
        // Nothing more is sent: the gateway must notice by itself.
        feed.unwanted().await;
    }
    for event in stage.scene.events(2).await {
        check_figures("left", &event, [11, 10, 33, 44, 4]);
        check_end(
            "left",
            &event,
            ["error", "client_disconnected", "estimated"],
        );
    }
    assert_eq!(
        stage.ended("messages", 200, "client_disconnected").await,
        2.0
    );
    assert_eq!(
        stage.gateway.metric("mindweave_open_streams").await,
        0.0,
        "no stream is open"
    );
}

#[tokio::test]
async fn a_caller_that_leaves_after_the_last_event_had_a_whole_answer() {
    let (upstream, mut feeds) = feeding().await;
    let stage = Stage::before(upstream).await;
    let body = question(true).to_string();
    let mut wire = stage.wire().await;
    let length = format!("content-length: {}\r\n", body.len());
    wire.send(stage.head("POST", "/v1/messages", &length) + &body)
        .await;
    let feed = feeds.recv().await.unwrap();
    feed.give(&whole_stream()).await;
    let stop = sse(&[json!({ "type": "message_stop" })]);
    wire.through(stop.as_bytes()).await;
    drop(wire);
    // The upstream has not ended the body, and never will.
    let event = stage.scene.event().await;
    check_figures("after the last event", &event, [11, 22, 33, 44, 4]);
    check_end("after the last event", &event, ["success", "", "exact"]);
    feed.unwanted().await;
}

/// An upstream that never answers, and hands out for every request what tells that nobody waits any more.
async fn never_answering() -> (Upstream, mpsc::Receiver<oneshot::Receiver<()>>) {
    let (requests, receiver) = mpsc::channel(4);
    let upstream = Upstream::start(move |_| {
        let requests = requests.clone();
        async move {
            // Dropped with this future, which closes the other end.
            let (_waiting, abandoned) = oneshot::channel();
            requests.send(abandoned).await.expect("the test runs");
            std::future::pending().await
        }
    })
    .await;
    (upstream, receiver)
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_head_cancels_the_request() {
    let (upstream, mut requests) = never_answering().await;
    let stage = Stage::before(upstream).await;
    for client in [stage.client(), stage.http2_client()] {
        let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
        let abandoned = tokio::select! {
            _ = asking => panic!("nobody answers"),
            request = requests.recv() => request.unwrap(),
        };
        drop(client);
        let abandoned = tokio::time::timeout(testkit::PATIENCE, abandoned).await;
        drop(abandoned.expect("the upstream sees that nobody waits"));
    }
    for event in stage.scene.events(2).await {
        check_figures("left early", &event, [0; 5]);
        check_end(
            "left early",
            &event,
            ["error", "client_disconnected", "estimated"],
        );
    }
    assert_eq!(
        stage.ended("messages", 499, "client_disconnected").await,
        2.0
    );
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_sends_a_question_was_never_admitted() {
    let (upstream, mut feeds) = feeding().await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/messages", "content-length: 100\r\n") + "{\"model\"")
        .await;
    drop(wire);
    eventually("the request is counted", || async {
        let ended = stage.gateway.metric("mindweave_requests_total").await;
        (ended >= 1.0).then_some(())
    })
    .await;
    assert!(feeds.try_recv().is_err(), "the upstream was not asked");
    assert_eq!(
        stage
            .gateway
            .metric("mindweave_events_admitted_total")
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_uploads_leaves_an_event() {
    let (upstream, _feeds) = feeding().await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", "/v1/files", "content-length: 100\r\n") + "beginning")
        .await;
    eventually("the upload is admitted", || async {
        let admitted = stage
            .gateway
            .metric("mindweave_events_admitted_total")
            .await;
        (admitted >= 1.0).then_some(())
    })
    .await;
    drop(wire);
    let event = stage.scene.event().await;
    assert_eq!(testkit::scene::text(&event, "status"), "error");
}
