//! Request and answer bodies: however they are framed and coded, their bytes arrive.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use testkit::client::question;
use testkit::scene::text;
use testkit::upstream::{Body, paced, pieces};
use testkit::{Upstream, Wire};

use crate::stage::{Stage, chunked, gzip, json_answer, message, noting, typed};

/// Sends a question in two chunks, and checks that the upstream gets it.
async fn check_chunked(targets: &[(&str, &str)]) {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let question = question(false).to_string();
    let (first, second) = question.as_bytes().split_at(17);
    for (method, path) in targets {
        let mut wire = stage.wire().await;
        wire.send(stage.head(method, path, "transfer-encoding: chunked\r\n"))
            .await;
        wire.send(chunked(&[first, second])).await;
        assert_eq!(wire.answer().await.status, 200, "{method} {path}");
        assert_eq!(
            seen.only().body,
            question,
            "{method} {path}: the body arrives"
        );
    }
}

#[tokio::test]
async fn a_chunked_request_arrives_whole() {
    check_chunked(&[
        ("POST", "/v1/messages"),
        ("POST", "/v1/files"),
        ("PUT", "/v1/skills"),
        ("DELETE", "/v1/skills"),
    ])
    .await;
}

/// HTTP libraries tend to drop it without a word: a GET has a body only if its headers say so.
#[tokio::test]
async fn a_chunked_body_of_a_get_arrives_too() {
    check_chunked(&[("GET", "/v1/unheard/of")]).await;
}

#[tokio::test]
async fn a_compressed_request_is_forwarded_as_it_is_and_understood() {
    let (upstream, seen) = noting(|| json_answer(200, r#"{"type":"message"}"#)).await;
    let stage = Stage::before(upstream).await;
    let zipped = gzip(question(false).to_string().as_bytes());
    let client = stage.client().with("content-encoding", "gzip");
    let answer = client
        .send(Method::POST, "/v1/messages", zipped.clone())
        .await;
    assert_eq!(answer.status, 200);
    let received = seen.only();
    assert_eq!(
        received.body, zipped,
        "the bytes are forwarded as they came"
    );
    assert_eq!(received.headers["content-encoding"], "gzip");
    assert_eq!(
        text(&stage.scene.event().await, "model"),
        "claude-sonnet-5",
        "it was read"
    );
}

/// Header lines of one name are one list (RFC 9110, section 5.3).
#[tokio::test]
async fn encodings_on_two_header_lines_are_one_list() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let twice = gzip(&gzip(question(false).to_string().as_bytes()));
    let more: HeaderMap = [("content-encoding", "gzip"), ("content-encoding", "gzip")]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let client = stage.client().with_all(&more);
    let answer = client
        .send(Method::POST, "/v1/messages", twice.clone())
        .await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(seen.only().body, twice);
}

/// A body in two frames and a trailer.
fn with_trailer(data: &'static [u8]) -> Body {
    let (first, second) = data.split_at(data.len() / 2);
    let trailers = [("x-sum".parse().unwrap(), "42".parse().unwrap())];
    let frames = [
        Frame::data(Bytes::from_static(first)),
        Frame::data(Bytes::from_static(second)),
        Frame::trailers(trailers.into_iter().collect()),
    ];
    let mut frames = frames.into_iter();
    BodyExt::boxed(StreamBody::new(stream_of(move || frames.next())))
}

fn stream_of(
    mut next: impl FnMut() -> Option<Frame<Bytes>>,
) -> impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> {
    futures_util::stream::poll_fn(move |_| std::task::Poll::Ready(next().map(Ok)))
}

const QUESTION: &[u8] = br#"{"model":"claude-sonnet-5","max_tokens":1,"messages":[]}"#;

#[tokio::test]
async fn trailers_of_a_request_reach_the_upstream() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    for (case, client) in [
        ("HTTP/1.1", stage.client()),
        ("HTTP/2", stage.http2_client()),
    ] {
        for path in ["/v1/files", "/v1/messages"] {
            let client = client.clone().with("trailer", "x-sum");
            let answer = client
                .send_body(Method::POST, path, with_trailer(QUESTION))
                .await;
            assert_eq!(answer.status, 200, "{case} {path}");
            let received = seen.only();
            assert_eq!(received.body, QUESTION, "{case} {path}");
            check_sum(received.trailers.as_ref(), &format!("{case} {path}"));
        }
    }
}

/// The trailer that `with_trailer` sends has arrived.
fn check_sum(trailers: Option<&HeaderMap>, case: &str) {
    let sum = trailers.and_then(|trailers| trailers.get("x-sum"));
    assert_eq!(
        sum.map(|sum| sum.as_bytes()),
        Some(&b"42"[..]),
        "{case}: x-sum"
    );
}

#[tokio::test]
async fn trailers_of_an_answer_reach_the_caller() {
    let (upstream, _) = noting(|| {
        let mut answer = typed(
            200,
            "application/json",
            with_trailer(b"{\"a\":\"trailer follows\"}"),
        );
        answer
            .headers_mut()
            .insert("trailer", "x-sum".parse().unwrap());
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    for (case, client) in [
        ("HTTP/1.1", stage.client()),
        ("HTTP/2", stage.http2_client()),
    ] {
        for path in ["/v1/models", "/v1/messages"] {
            let client = client.clone().with("te", "trailers");
            let method = if path == "/v1/messages" {
                Method::POST
            } else {
                Method::GET
            };
            let answer = client.send(method, path, QUESTION).await;
            check_sum(answer.trailers.as_ref(), &format!("{case} {path}"));
        }
    }
}

/// The upstream says nothing of the length: its end is the connection's.
async fn unframed_upstream() -> Upstream {
    Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        wire.send(head).await;
        wire.send(message().to_string()).await;
    })
    .await
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_passes() {
    let stage = Stage::before(unframed_upstream().await).await;
    for client in [stage.client(), stage.http2_client()] {
        let answer = client.ask().await;
        assert_eq!(answer.json(), message());
    }
    for event in stage.scene.events(2).await {
        assert_eq!(text(&event, "status"), "success");
        assert_eq!(event.get::<_, i32>("output_tokens"), 22);
    }
}

#[tokio::test]
async fn a_caller_of_http_1_0_gets_an_answer_it_can_read() {
    let (upstream, _) = noting(|| {
        let text = Bytes::from(message().to_string());
        typed(
            200,
            "application/json",
            pieces(vec![text.slice(..9), text.slice(9..)]),
        )
    })
    .await;
    let stage = Stage::before(upstream).await;
    let body = question(false).to_string();
    let mut wire = stage.wire().await;
    wire.send(format!(
        "POST /v1/messages HTTP/1.0\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n{body}",
        stage.scene.key,
        body.len()
    ))
    .await;
    let head = wire.head().await;
    assert_eq!(head.status(), 200);
    assert!(
        !head.headers.contains_key("transfer-encoding"),
        "HTTP/1.0 has no chunks: {:?}",
        head.headers
    );
    let body: serde_json::Value = serde_json::from_slice(&wire.rest().await).unwrap();
    assert_eq!(body, message(), "up to the end of the connection");
    assert_eq!(text(&stage.scene.event().await, "status"), "success");
}

#[tokio::test]
async fn an_early_answer_passes_while_the_request_is_still_coming() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nforbidden")
            .await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let (sender, body) = paced();
    sender
        .send(Ok(Frame::data(Bytes::from_static(b"the beginning"))))
        .await
        .unwrap();
    let answer = stage
        .client()
        .send_body(Method::POST, "/v1/files", body)
        .await;
    assert_eq!(answer.status, 403, "before the end of the request");
    assert_eq!(answer.body, "forbidden");
    drop(sender);
    assert_eq!(text(&stage.scene.event().await, "error_code"), "http_403");
}

/// The upstream has answered, and goes on reading; the caller reads nothing before it has sent everything.
#[tokio::test]
async fn an_early_answer_waits_for_a_caller_that_sends_all_of_its_request_first() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nforbidden")
            .await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let mut caller = stage.wire().await;
    let part = vec![b'x'; 1_000_000];
    let length = format!("content-length: {}\r\n", 40 * part.len());
    caller.send(stage.head("POST", "/v1/files", &length)).await;
    for _ in 0..40 {
        caller.send(&part).await;
    }
    assert_eq!(caller.answer().await.status, 403);
    assert_eq!(text(&stage.scene.event().await, "error_code"), "http_403");
}
