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
        let expected = &recording["expected"];
        // What several iterations cost is another matter than what the last one counted.
        if expected.is_null()
            || recording["body"]
                .as_str()
                .unwrap()
                .contains("\"iterations\": [{")
            || recording["body"]
                .as_str()
                .unwrap()
                .contains("\"iterations\":[{")
        {
            continue;
        }
        let stored = |column: &str| i64::from(event.get::<_, i32>(column));
        let id = &recording["id"];
        assert_eq!(
            stored("input_tokens"),
            expected["input_tokens"].as_i64().unwrap(),
            "{id}"
        );
        assert_eq!(
            stored("output_tokens"),
            expected["output_tokens"].as_i64().unwrap(),
            "{id}"
        );
        assert_eq!(
            stored("cache_read_tokens"),
            expected["cache_read_tokens"].as_i64().unwrap(),
            "{id}"
        );
        assert_eq!(
            stored("cache_write_1h_tokens"),
            expected["cache_write_1h_tokens"].as_i64().unwrap(),
            "{id}"
        );
        assert_eq!(
            event.get::<_, String>("model"),
            expected["model"].as_str().unwrap(),
            "{id}"
        );
        assert_eq!(event.get::<_, String>("usage_quality"), "exact", "{id}");
        compared += 1;
    }
    println!(
        "{} recordings played, {} stored, {compared} compared",
        recordings.len(),
        events.len()
    );
    assert!(compared > 150, "only {compared} recordings were compared");
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
