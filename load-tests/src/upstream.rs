//! An upstream that answers at once or bit by bit, and remembers by number who asked.
//!
//! A request's number is part of the model it asks for. The row of an answered request has the model of the answer, that
//! of an interrupted one the model of the request: so every row can be told from every other, whatever became of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use hyper::body::Frame;
use serde_json::Value;
use testkit::Upstream;
use testkit::upstream::{Body, Received, paced, pieces, whole};
use tokio::sync::mpsc::Sender;

/// How fast it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// With all there is.
    AtOnce,
    /// With up to so long before every part.
    Hesitant(Duration),
}

/// The upstream.
#[derive(Debug)]
pub(crate) struct Answering {
    upstream: Upstream,
    seen: Arc<Mutex<HashSet<u64>>>,
}

const NUMBERED: &str = "claude-load-";

/// The model by which a request says which one it is.
pub(crate) fn numbered_model(number: u64) -> String {
    format!("{NUMBERED}{number}")
}

/// Which request it was.
pub(crate) fn number_in(model: &str) -> Option<u64> {
    model.strip_prefix(NUMBERED)?.parse().ok()
}

impl Answering {
    pub(crate) async fn start(pace: Pace) -> Self {
        let seen: Arc<Mutex<HashSet<u64>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let upstream = Upstream::start(move |received| {
            let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
            let model = asked["model"].as_str().unwrap_or_default().to_owned();
            if let Some(number) = number_in(&model) {
                noted.lock().unwrap().insert(number);
            }
            answer(model, asks_for_stream(&asked, &received), pace)
        })
        .await;
        Self { upstream, seen }
    }

    pub(crate) fn url(&self) -> String {
        self.upstream.url()
    }

    /// The numbers of all requests that it got.
    pub(crate) fn seen(&self) -> HashSet<u64> {
        self.seen.lock().unwrap().clone()
    }
}

fn asks_for_stream(asked: &Value, received: &Received) -> bool {
    received.uri.path() == "/v1/messages" && asked["stream"] == true
}

async fn answer(model: String, streamed: bool, pace: Pace) -> Response<Body> {
    hesitate(pace).await;
    let (body, kind) = match (streamed, pace) {
        (false, _) => (whole(message(&model)), "application/json"),
        (true, Pace::AtOnce) => (pieces(events(&model)), "text/event-stream"),
        (true, Pace::Hesitant(_)) => {
            let (sender, body) = paced();
            testkit::spawn(tell(sender, events(&model), pace));
            (body, "text/event-stream")
        }
    };
    let mut response = Response::new(body);
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert("content-type", kind);
    response
}

async fn tell(sender: Sender<std::io::Result<Frame<Bytes>>>, events: Vec<Bytes>, pace: Pace) {
    for event in events {
        hesitate(pace).await;
        if sender.send(Ok(Frame::data(event))).await.is_err() {
            return;
        }
    }
}

async fn hesitate(pace: Pace) {
    if let Pace::Hesitant(longest) = pace {
        let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..longest))).await;
    }
}

fn message(model: &str) -> String {
    format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"{model}","content":[{{"type":"text","text":"Hello"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":11,"output_tokens":22}}}}"#
    )
}

fn events(model: &str) -> Vec<Bytes> {
    let start = format!(
        r#"{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","model":"{model}","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":11,"output_tokens":1}}}}}}"#
    );
    let rest = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Once upon"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" a time"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":22}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let kind = |data: &str| data.split('"').nth(3).unwrap_or_default().to_owned();
    std::iter::once(start.as_str())
        .chain(rest)
        .map(|data| format!("event: {}\ndata: {data}\n\n", kind(data)).into())
        .collect()
}
