//! HTTP/1.1 as few clients speak it: asking first, one request behind the other, upgrades.

use std::sync::Arc;

use testkit::client::question;
use testkit::scene::text;
use testkit::{Upstream, Wire};
use tokio::sync::Notify;

use crate::stage::{Stage, json_answer, message, noting};

#[tokio::test]
async fn a_caller_that_asks_first_is_told_to_go_on() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let body = question(false).to_string();
    for path in ["/v1/messages", "/v1/files"] {
        let more = format!("expect: 100-continue\r\ncontent-length: {}\r\n", body.len());
        let mut wire = stage.wire().await;
        wire.send(stage.head("POST", path, &more)).await;
        assert_eq!(
            wire.head().await.status(),
            100,
            "{path}: before the body is sent"
        );
        wire.send(&body).await;
        assert_eq!(wire.answer().await.status, 200, "{path}");
        let received = seen.only();
        assert_eq!(received.body, body, "{path}");
        assert!(
            !received.headers.contains_key("expect"),
            "{path}: it was answered here"
        );
    }
}

#[tokio::test]
async fn requests_in_a_row_without_waiting_are_answered_in_their_order() {
    let upstream = Upstream::start(|received| async move {
        json_answer(200, format!("{{\"path\":\"{}\"}}", received.uri))
    })
    .await;
    let stage = Stage::before(upstream).await;
    let body = question(false).to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let requests = [
        stage.head("GET", "/v1/models/1", ""),
        stage.head("POST", "/v1/messages?2", &length) + &body,
        stage.head("GET", "/nowhere", ""),
        stage.head("POST", "/v1/messages?3", &length) + &body,
        stage.head("GET", "/v1/models/4", ""),
    ];
    let mut wire = stage.wire().await;
    wire.send(requests.concat()).await;
    for expected in [
        "/v1/models/1",
        "/v1/messages?2",
        "",
        "/v1/messages?3",
        "/v1/models/4",
    ] {
        let answer = wire.answer().await;
        assert_eq!(answer.json()["path"].as_str().unwrap_or_default(), expected);
    }
    stage.scene.events(2).await;
}

/// The head waits for a body that is there, and for none that isn't.
#[tokio::test]
async fn what_comes_in_one_piece_leaves_in_one_piece() {
    let whole = message().to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let length = whole.len();
    let plain = (
        format!("{head}content-length: {length}\r\n\r\n"),
        whole.clone(),
    );
    let chunked = (
        format!("{head}transfer-encoding: chunked\r\n\r\n"),
        format!("{length:x}\r\n{whole}\r\n0\r\n\r\n"),
    );
    for (head, rest) in [plain, chunked] {
        let go_on = Arc::new(Notify::new());
        let seen = Arc::clone(&go_on);
        let upstream = Upstream::wire(move |mut wire: Wire| {
            let (head, rest, go_on) = (head.clone(), rest.clone(), Arc::clone(&go_on));
            async move {
                wire.request().await;
                wire.send(head.clone() + &rest).await;
                wire.request().await;
                wire.send(head).await;
                go_on.notified().await;
                wire.send(rest).await;
                wire.rest().await;
            }
        })
        .await;
        let stage = Stage::before(upstream).await;
        let body = question(false).to_string();
        let more = format!("content-length: {}\r\n", body.len());
        let asked = stage.head("POST", "/v1/messages", &more) + &body;
        let mut wire = stage.wire().await;
        wire.send(&asked).await;
        let begun = wire.head().await;
        assert!(wire.has_unread(), "the body comes with the head");
        assert_eq!(wire.answer_behind(begun).await.json(), message());
        wire.send(&asked).await;
        let begun = wire.head().await;
        seen.notify_one();
        assert_eq!(wire.answer_behind(begun).await.json(), message());
        for event in stage.scene.events(2).await {
            assert_eq!(text(&event, "status"), "success");
        }
    }
}

#[tokio::test]
async fn an_upgrade_to_http2_is_not_taken_up() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let more = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", "/v1/models", more)).await;
    assert_eq!(wire.answer().await.status, 200, "answered over HTTP/1.1");
    let received = seen.only();
    assert!(
        !received.headers.contains_key("http2-settings"),
        "{:?}",
        received.headers
    );
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_not_taken_for_the_answer() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
            .await;
        wire.send(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        )
        .await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().ask().await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (200, &b"{}"[..])
    );
}

/// Two framings at once are how requests are smuggled: whatever is made of them, one request stays one.
#[tokio::test]
async fn contradicting_lengths_smuggle_nothing() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let hidden = stage.head("GET", "/v1/hidden", "");
    for more in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked, identity\r\n",
    ] {
        let mut wire = stage.wire().await;
        let request = stage.head("POST", "/v1/files", more) + "0\r\n\r\n" + &hidden;
        wire.send(request).await;
        wire.head().await;
        drop(wire);
        for received in seen.take() {
            let framings = usize::from(received.headers.contains_key("content-length"))
                + usize::from(received.headers.contains_key("transfer-encoding"));
            assert!(
                framings <= 1,
                "{more:?}: forwarded with {:?}",
                received.headers
            );
            assert!(
                received.body.is_empty() || received.uri.path() != "/v1/files",
                "{more:?}: forwarded with the body {:?}",
                received.body
            );
        }
    }
}
