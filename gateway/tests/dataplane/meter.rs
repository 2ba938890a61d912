//! What is stored of an answer: its figures, how it ended, and that watching it holds nothing up.

mod batches;
mod breaks;
mod callers;
mod drain;
mod figures;
mod late_budgets;
mod mcp;
mod pace;
mod polling;
mod sessions;

use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};
use testkit::Upstream;
use testkit::scene::text;
use testkit::upstream::{Body, paced};
use tokio::sync::mpsc;
use tokio_postgres::Row;

use crate::stage::event_stream;

/// Events of a stream as the API writes them.
fn sse(events: &[Value]) -> String {
    events
        .iter()
        .map(|data| {
            format!(
                "event: {}\ndata: {data}\n\n",
                data["type"].as_str().unwrap()
            )
        })
        .collect()
}

fn message_start() -> Value {
    json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
        "content": [], "stop_reason": null,
        "usage": {
            "input_tokens": 11, "output_tokens": 1,
            "cache_read_input_tokens": 33, "cache_creation_input_tokens": 44,
            "cache_creation": { "ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 4 },
            "service_tier": "standard",
        },
    } })
}

fn text_delta(text: &str) -> Value {
    json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } })
}

fn message_delta(usage: &Value) -> Value {
    json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": usage })
}

/// A stream from its start to its end, with the figures of [`check_figures`].
fn whole_stream() -> Vec<Value> {
    vec![
        message_start(),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "ping" }),
        text_delta("Hello"),
        json!({ "type": "content_block_stop", "index": 0 }),
        message_delta(&json!({ "output_tokens": 22 })),
        json!({ "type": "message_stop" }),
    ]
}

/// Checks an event's figures: input, output, cache read, cache written, of that for an hour.
fn check_figures(case: &str, event: &Row, expected: [i32; 5]) {
    let columns = [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
    ];
    let stored = columns.map(|column| event.get::<_, i32>(column));
    assert_eq!(stored, expected, "{case}: {columns:?}");
}

/// Checks how an event says that its request ended: status, cause, quality.
fn check_end(case: &str, event: &Row, expected: [&str; 3]) {
    let stored = ["status", "error_code", "usage_quality"].map(|column| text(event, column));
    assert_eq!(
        stored, expected,
        "{case}: status, error_code, usage_quality"
    );
}

/// The hand that feeds a stream.
#[derive(Debug)]
struct Feed(mpsc::Sender<std::io::Result<Frame<Bytes>>>);

impl Feed {
    fn new() -> (Self, Body) {
        let (sender, body) = paced();
        (Self(sender), body)
    }

    async fn give(&self, events: &[Value]) {
        let frame = Frame::data(Bytes::from(sse(events)));
        self.0
            .send(Ok(frame))
            .await
            .expect("the stream is still wanted");
    }

    async fn break_off(self) {
        let error = std::io::Error::other("the upstream breaks off");
        self.0
            .send(Err(error))
            .await
            .expect("the stream is still wanted");
    }

    /// Waits until nobody wants the stream any more.
    async fn unwanted(&self) {
        tokio::time::timeout(testkit::PATIENCE, self.0.closed())
            .await
            .expect("the upstream is cancelled");
    }
}

/// An upstream that streams, and hands out the feed of every stream.
async fn feeding() -> (Upstream, mpsc::Receiver<Feed>) {
    let (feeds, receiver) = mpsc::channel(4);
    let upstream = Upstream::start(move |_| {
        let feeds = feeds.clone();
        async move {
            let (feed, body) = Feed::new();
            feeds.send(feed).await.expect("the test runs");
            event_stream(body)
        }
    })
    .await;
    (upstream, receiver)
}
