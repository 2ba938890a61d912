//! The gateway holds nothing back, and takes no more than the caller takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use testkit::client::question;
use testkit::scene::text;
use testkit::{Scene, Upstream, Wire, eventually};

use super::{Feed, feeding, message_start, sse, text_delta, whole_stream};
use crate::MINDWEAVE;
use crate::stage::{Stage, event_stream, gzip, typed};

#[tokio::test]
async fn each_event_reaches_the_caller_before_the_next_one_is_sent() {
    let (upstream, mut receiver) = feeding().await;
    let stage = Stage::before(upstream).await;
    for client in [stage.client(), stage.http2_client()] {
        let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
        let mut body = asking.await.expect("a head before any event").into_body();
        let feed = receiver.recv().await.unwrap();
        for event in whole_stream() {
            feed.give(std::slice::from_ref(&event)).await;
            let expected = sse(std::slice::from_ref(&event));
            let mut got = String::new();
            while got.len() < expected.len() {
                let frame = tokio::time::timeout(testkit::PATIENCE, body.frame()).await;
                let frame = frame.expect("the event arrives").unwrap().unwrap();
                got += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
            }
            assert_eq!(got, expected, "the event, and nothing after it");
        }
    }
    stage.scene.events(2).await;
}

const MIB: u64 = 1 << 20;
const ANSWER: u64 = 200 * MIB;

/// Sends an answer of [`ANSWER`] bytes as fast as it is taken, and counts what was.
async fn pouring(sent: Arc<AtomicU64>) -> Upstream {
    Upstream::wire(move |mut wire: Wire| {
        let sent = Arc::clone(&sent);
        async move {
            wire.request().await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length:";
            wire.send(format!("{head} {ANSWER}\r\n\r\n")).await;
            let piece = vec![b'x'; 64 << 10];
            while sent.load(Ordering::SeqCst) < ANSWER {
                wire.send(&piece).await;
                sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await
}

/// Waits until a count has not changed for a while.
async fn at_rest(count: &AtomicU64) -> u64 {
    let mut last = (u64::MAX, 0);
    eventually("the upstream can send no more", || {
        let now = count.load(Ordering::SeqCst);
        last = if now == last.0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        // 5 ms lie between two looks.
        let at_rest = now > 0 && last.1 >= 100;
        async move { at_rest.then_some(now) }
    })
    .await
}

#[tokio::test]
async fn a_caller_that_reads_slowly_slows_the_upstream_down() {
    for http2 in [false, true] {
        let sent = Arc::new(AtomicU64::new(0));
        let upstream = pouring(Arc::clone(&sent)).await;
        // A caller that takes its time is not an upstream that falls silent.
        let stage = Stage::configured(upstream, |builder| {
            builder.env("MINDWEAVE_UPSTREAM_IDLE_TIMEOUT", "200ms")
        })
        .await;
        let client = stage.client_over(http2);
        let answer = client
            .begin(Method::GET, "/v1/files/f/content", "")
            .await
            .unwrap();
        let taken = at_rest(&sent).await;
        // What the kernel holds for four sockets is part of it, and a receiving one may grow to 32 MiB. Without
        // backpressure it would be all.
        assert!(
            taken < ANSWER / 2,
            "HTTP/2 {http2}: {taken} bytes were taken for a caller that reads none"
        );
        let mut body = answer.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame
                .unwrap()
                .into_data()
                .map_or(0, |data| data.len() as u64);
        }
        assert_eq!(read, ANSWER, "HTTP/2 {http2}: all of it arrives in the end");
    }
}

/// What the upstream answers to the `n`-th of the mixed requests.
fn mixed_answer(n: usize) -> http::Response<testkit::upstream::Body> {
    let stream = sse(&whole_stream());
    match n % 5 {
        0 => crate::stage::json_answer(200, crate::stage::message().to_string()),
        1 => event_stream(testkit::upstream::whole(stream)),
        2 => {
            let body = testkit::upstream::whole(gzip(stream.as_bytes()));
            let mut answer = typed(200, "text/event-stream", body);
            answer
                .headers_mut()
                .insert("content-encoding", "gzip".parse().unwrap());
            answer
        }
        3 => crate::stage::json_answer(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error"}}"#,
        ),
        _ => {
            let (feed, body) = Feed::new();
            testkit::spawn(async move {
                feed.give(&[message_start(), text_delta("Hello")]).await;
                feed.unwanted().await;
            });
            event_stream(body)
        }
    }
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_a_hundred_rows() {
    let upstream = Upstream::start(|received| async move {
        let n = received.headers["x-n"].to_str().unwrap().parse().unwrap();
        mixed_answer(n)
    })
    .await;
    let scene = Scene::new().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    let asking = (0..100).map(|n: usize| {
        let client = gateway.client(&scene.key).with("x-n", &n.to_string());
        async move {
            let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
            let answer = asking.await.expect("a head");
            let id = answer.headers()["x-mindweave-request-id"]
                .to_str()
                .unwrap()
                .to_owned();
            let mut body = answer.into_body();
            if n % 5 == 4 {
                // This one leaves in the middle.
                body.frame().await.unwrap().expect("the first events");
            } else {
                body.collect().await.expect("a whole answer");
            }
            (id, n)
        }
    });
    let by_id: HashMap<String, usize> = futures_util::future::join_all(asking)
        .await
        .into_iter()
        .collect();
    assert_eq!(by_id.len(), 100, "every request has an id of its own");
    let mut counts = [0; 5];
    for event in scene.events(100).await {
        let id: uuid::Uuid = event.get("request_id");
        let kind = by_id[&id.to_string()] % 5;
        counts[kind] += 1;
        let expected = ["success", "success", "success", "rate_limited", "error"][kind];
        assert_eq!(text(&event, "status"), expected, "of kind {kind}");
        let output = event.get::<_, i32>("output_tokens");
        assert_eq!(output, [22, 22, 22, 0, 2][kind], "of kind {kind}");
    }
    assert_eq!(counts, [20; 5]);
    for (counter, expected) in [("admitted", 100.0), ("closed", 100.0), ("stored", 100.0)] {
        let name = format!("mindweave_events_{counter}_total");
        assert_eq!(gateway.metric(&name).await, expected, "{name}");
    }
}

/// The first token is timed from the request on, not from the head of the answer.
#[tokio::test]
async fn the_time_to_the_first_token_is_the_callers() {
    let upstream = Upstream::start(|_| async {
        let (feed, body) = Feed::new();
        testkit::spawn(async move {
            feed.give(&[message_start()]).await;
            // The upstream thinks: a pause that must show in the figure.
            tokio::time::sleep(Duration::from_millis(200)).await;
            feed.give(&whole_stream()[1..]).await;
        });
        event_stream(body)
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().ask().await;
    assert_eq!(answer.body, Bytes::from(sse(&whole_stream())));
    let event = stage.scene.event().await;
    let first: Option<i32> = event.get("time_to_first_token_ms");
    let latency: Option<i32> = event.get("latency_ms");
    assert!(
        first >= Some(200) && first <= latency,
        "{first:?} of {latency:?}"
    );
}
