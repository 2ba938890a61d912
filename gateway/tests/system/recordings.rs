//! Recorded answers of the Claude API, played through the gateway: the body arrives as it was, and the event
//! has the counters that the answer was billed by.
//!
//! The recordings are not part of the project; the test says so where they are missing.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response};
use serde_json::Value;
use testkit::upstream::pieces;
use testkit::{Scene, Upstream};

use crate::MINDWEAVE;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/recordings/claude-exchanges.jsonl"
);
/// Names the recording that the upstream shall play.
const RECORDING: HeaderName = HeaderName::from_static("x-recording");

fn recordings() -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(FILE).ok()?;
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// Plays a recording's answer, its body cut into pieces of a length that differs from one to the next.
async fn player(recordings: Arc<Vec<Value>>) -> Upstream {
    Upstream::start(move |received| {
        let index: usize = received.headers[RECORDING]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let recording = &recordings[index];
        let body = Bytes::from(recording["body"].as_str().unwrap().to_owned());
        let length = 1 + (index * 97) % 1_500;
        let cut = (0..body.len())
            .step_by(length)
            .map(|at| body.slice(at..body.len().min(at + length)));
        let mut response = Response::new(pieces(cut.collect()));
        *response.status_mut() = u16::try_from(recording["status"].as_u64().unwrap())
            .unwrap()
            .try_into()
            .unwrap();
        *response.headers_mut() = headers(&recording["headers"]);
        async { response }
    })
    .await
}

fn headers(recorded: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in recorded.as_object().unwrap() {
        headers.insert(
            name.parse::<HeaderName>().unwrap(),
            value.as_str().unwrap().parse().unwrap(),
        );
    }
    headers
}

#[tokio::test]
async fn every_recorded_answer_arrives_whole_and_is_metered() {
    let Some(recordings) = recordings() else {
        println!("skipped: there are no recordings at {FILE}");
        return;
    };
    let recordings = Arc::new(recordings);
    let upstream = player(Arc::clone(&recordings)).await;
    let scene = Scene::new().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;

    let mut by_request = HashMap::new();
    for (index, recording) in recordings.iter().enumerate() {
        let client = gateway
            .client(&scene.key)
            .with("x-recording", &index.to_string());
        let method: Method = recording["method"].as_str().unwrap().parse().unwrap();
        let body = request_body(recording);
        let answer = client
            .send(method.clone(), recording["path"].as_str().unwrap(), body)
            .await;
        let id = &recording["id"];
        assert_eq!(
            u64::from(answer.status.as_u16()),
            recording["status"].as_u64().unwrap(),
            "{id}"
        );
        assert!(
            answer.body == recording["body"].as_str().unwrap(),
            "{id}: the body differs"
        );
        if method == Method::POST {
            by_request.insert(answer.header("x-mindweave-request-id").to_owned(), index);
        }
    }

    let events = scene.events(by_request.len()).await;
    let mut compared = 0;
    for event in &events {
        let request_id = event.get::<_, uuid::Uuid>("request_id").to_string();
        let recording = &recordings[by_request[&request_id]];
        let (id, expected) = (&recording["id"], &recording["expected"]);
        if expected.is_null() {
            assert_eq!(cents(&event.get::<_, String>("cost")), "0", "{id}");
            continue;
        }
        let stored = |column: &str| i64::from(event.get::<_, i32>(column));
        let figure = |name: &str| expected[name].as_i64().unwrap();
        for name in [
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_1h_tokens",
            "web_search_requests",
        ] {
            assert_eq!(stored(name), figure(name), "{name} of {id}");
        }
        let writes = figure("cache_write_5m_tokens") + figure("cache_write_1h_tokens");
        assert_eq!(stored("cache_write_tokens"), writes, "{id}");
        assert_eq!(
            event.get::<_, String>("model"),
            expected["model"].as_str().unwrap(),
            "{id}"
        );
        assert_eq!(event.get::<_, String>("usage_quality"), "exact", "{id}");
        let expected_cost = expected["cost_cents"].as_str().unwrap();
        let cost = event.get::<_, String>("cost");
        assert_eq!(cents(&cost), cents(expected_cost), "{id}");
        assert!(
            event.get::<_, Option<String>>("price_version").is_some(),
            "{id}"
        );
        compared += 1;
    }
    let total = "SELECT sum(cost_cents)::TEXT FROM usage_events";
    let total: String = scene.sql.query_one(total, &[]).await.unwrap().get(0);
    println!(
        "{} recordings played, {} stored, {compared} compared, {total} cents",
        recordings.len(),
        events.len()
    );
    assert_eq!(cents(&total), "147.60005");
    assert_eq!(compared, 172);
}

/// A decimal number without zeros at its end.
fn cents(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// The recorded request, or the smallest that is one.
fn request_body(recording: &Value) -> String {
    let request = &recording["request"];
    if request.is_null() {
        r#"{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[]}"#.to_owned()
    } else {
        request.to_string()
    }
}
