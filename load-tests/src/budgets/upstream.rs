//! An upstream that consumes what a request tells it to: the figures stand in the request's `metadata.user_id`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Frame;
use rand::Rng as _;
use serde_json::{Value, json};
use testkit::Upstream;
use testkit::upstream::{Body, paced, whole};
use tokio::sync::mpsc::Sender;

/// Up to so long before an answer, and before each part of a stream: so that many run at the same time.
const LONGEST_PAUSE_MICROS: u64 = 12_000;
const ERROR: &str =
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;

/// What an answer consumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) input: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) output: u64,
    /// It says that it is overloaded, and consumes nothing.
    pub(super) fails: bool,
}

impl Figures {
    /// Of an upstream that is overloaded.
    pub(super) const NOTHING: Self = Self {
        input: 0,
        cache_read: 0,
        cache_write: 0,
        output: 0,
        fails: true,
    };

    pub(super) fn to_text(self) -> String {
        let Self {
            input,
            cache_read,
            cache_write,
            output,
            fails,
        } = self;
        format!(
            "{input}-{cache_read}-{cache_write}-{output}-{}",
            u8::from(fails)
        )
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(str::parse);
        let mut next = || parts.next()?.ok();
        Some(Self {
            input: next()?,
            cache_read: next()?,
            cache_write: next()?,
            output: next()?,
            fails: next()? == 1,
        })
    }

    fn usage(self, output: u64) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write,
            "cache_creation": {"ephemeral_5m_input_tokens": self.cache_write, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
        })
    }
}

pub(super) async fn start() -> Upstream {
    Upstream::start(|received| async move {
        let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let figures = asked["metadata"]["user_id"].as_str();
        let figures = figures.and_then(Figures::of_text).unwrap_or_default();
        answer(&asked, figures).await
    })
    .await
}

async fn answer(asked: &Value, figures: Figures) -> Response<Body> {
    hesitate().await;
    if figures.fails {
        let mut response = respond(whole(ERROR), "application/json");
        *response.status_mut() = StatusCode::from_u16(529).unwrap();
        return response;
    }
    if asked["stream"] != true {
        let message = message(asked, "end_turn", &figures.usage(figures.output));
        return respond(whole(message.to_string()), "application/json");
    }
    let (sender, body) = paced();
    testkit::spawn(tell(sender, events(asked, figures)));
    respond(body, "text/event-stream")
}

fn respond(body: Body, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}

fn message(asked: &Value, stop_reason: &str, usage: &Value) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"],
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": stop_reason, "stop_sequence": null, "usage": usage,
    })
}

fn events(asked: &Value, figures: Figures) -> Vec<Bytes> {
    let mut begun = message(asked, "", &figures.usage(1));
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    let events = [
        json!({"type": "message_start", "message": begun}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Once upon a time"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
               "usage": {"output_tokens": figures.output}}),
        json!({"type": "message_stop"}),
    ];
    let line = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default();
        Bytes::from(format!("event: {kind}\ndata: {event}\n\n"))
    };
    events.iter().map(line).collect()
}

async fn tell(sender: Sender<std::io::Result<Frame<Bytes>>>, events: Vec<Bytes>) {
    for event in events {
        hesitate().await;
        if sender.send(Ok(Frame::data(event))).await.is_err() {
            return;
        }
    }
}

async fn hesitate() {
    let micros = rand::rng().random_range(0..LONGEST_PAUSE_MICROS);
    tokio::time::sleep(Duration::from_micros(micros)).await;
}
