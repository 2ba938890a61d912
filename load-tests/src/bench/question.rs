//! Requests made ready before anybody is asked: what takes time then is not in what is measured.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use serde_json::json;

use super::body::{self, Body};
use super::scenario::{Asked, FRAMING_EVENTS, Pace, Scenario};

/// What is asked again and again.
#[derive(Debug)]
pub(super) struct Questions {
    kinds: Vec<Question>,
    /// The sum of all.
    weight: u64,
    pub(super) expected: StatusCode,
}

/// A kind of request.
#[derive(Debug)]
pub(super) struct Question {
    weight: u64,
    headers: HeaderMap,
    body: Bytes,
    sent: Option<Pace>,
    pub(super) read: Option<Pace>,
    /// How long an answer may take.
    pub(super) patience: Duration,
}

impl Questions {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let kinds: Vec<_> = scenario.requests.iter().map(Question::of).collect();
        Self {
            weight: kinds.iter().map(|kind| kind.weight).sum(),
            kinds,
            expected: scenario.expected(),
        }
    }

    /// Kinds come mixed, and for everybody in the same order.
    pub(super) fn pick(&self, number: u64) -> &Question {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let mut left = mixed % self.weight;
        let chosen = self.kinds.iter().find(|kind| {
            let is_here = left < kind.weight;
            left = left.saturating_sub(kind.weight);
            is_here
        });
        chosen.expect("what is left is less than the sum of weights")
    }

    /// Whether any answer is read slowly.
    pub(super) fn has_slow_readers(&self) -> bool {
        self.kinds.iter().any(|kind| kind.read.is_some())
    }
}

impl Question {
    fn of(asked: &Asked) -> Self {
        let paced = asked.interval_ms * asked.events.unwrap_or(0);
        Self {
            weight: asked.weight.into(),
            headers: headers(asked),
            body: text(asked),
            sent: asked.sent,
            read: asked.read,
            patience: Duration::from_secs(30) + Duration::from_millis(paced.into()),
        }
    }

    pub(super) fn request(&self, host: &HeaderValue, key: HeaderValue) -> Request<Body> {
        let mut request = Request::new(body::of(self.body.clone(), self.sent));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static("/v1/messages");
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert("host", host.clone());
        request.headers_mut().insert("x-api-key", key);
        request
    }
}

fn headers(asked: &Asked) -> HeaderMap {
    let tokens = match asked.events {
        Some(events) => events - FRAMING_EVENTS,
        None => asked.output_tokens,
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    headers.insert("x-simulator-output-tokens", tokens.into());
    headers.insert("x-simulator-tokens-per-event", 1.into());
    headers.insert("x-simulator-event-interval-ms", asked.interval_ms.into());
    let value = HeaderValue::try_from("v".repeat(asked.header_bytes)).unwrap();
    for number in 0..asked.headers {
        let name = HeaderName::try_from(format!("x-padding-{number}")).unwrap();
        headers.insert(name, value.clone());
    }
    headers
}

fn text(asked: &Asked) -> Bytes {
    let ask = |text: &str| {
        let asked = json!({
            "model": "claude-opus-5",
            "max_tokens": 100_000,
            "stream": asked.events.is_some(),
            "messages": [{"role": "user", "content": text}],
        });
        asked.to_string()
    };
    let padding = asked.bytes.saturating_sub(ask("").len());
    let text = "Tell me a story about rivers. ".repeat(padding / 30 + 1);
    ask(text.get(..padding).unwrap_or_default()).into()
}
