//! Streams: the order of their events, their sums, their pace, and how they break.

use std::io::Read;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::assembly::{assemble, output_tokens};
use crate::client::{Running, message, parse_events};

async fn stream(changes: Value, steering: &[(&str, &str)]) -> Vec<(String, Value)> {
    let simulator = Running::start().await;
    let mut body = message(&changes);
    body["stream"] = true.into();
    let answer = simulator.post("/v1/messages", &body, steering).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.broke);
    answer.events()
}

#[tokio::test]
async fn events_come_in_the_apis_order() {
    let events = stream(json!({"max_tokens": 2}), &[("tokens-per-event", "1")]).await;
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    let start = &events[0].1["message"];
    assert_eq!(start["content"], json!([]));
    assert_eq!(start["stop_reason"], Value::Null);
    assert_eq!(start["usage"]["output_tokens"], 1);
    assert_eq!(
        start["usage"]["cache_creation"]["ephemeral_5m_input_tokens"],
        0
    );
}

#[tokio::test]
async fn a_stream_adds_up_to_a_message() {
    let tool = json!({"name": "t", "input_schema": {"required": ["größe"]}});
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let server = json!({"type": "url", "name": "docs", "url": "https://example.com/mcp"});
    for (changes, kinds) in [
        (json!({}), vec!["text"]),
        (json!({"max_tokens": 0}), vec![]),
        (json!({"max_tokens": 5}), vec!["text"]),
        (
            json!({"thinking": {"type": "adaptive"}}),
            vec!["thinking", "text"],
        ),
        (
            json!({"tools": [tool], "tool_choice": {"type": "any"}}),
            vec!["text", "tool_use"],
        ),
        (
            json!({"tools": [search], "mcp_servers": [server]}),
            vec![
                "server_tool_use",
                "web_search_tool_result",
                "mcp_tool_use",
                "mcp_tool_result",
                "text",
            ],
        ),
        (json!({"model": "claude-opus-5@refusal"}), vec![]),
    ] {
        let message = assemble(&stream(changes.clone(), &[]).await);
        let content = message["content"].as_array().unwrap();
        let found: Vec<_> = content
            .iter()
            .map(|block| block["type"].as_str().unwrap())
            .collect();
        assert_eq!(found, kinds, "{changes}");
        assert_eq!(
            message["usage"]["output_tokens"],
            output_tokens(content),
            "{changes}"
        );
        assert!(message["stop_reason"].is_string());
    }
}

#[tokio::test]
async fn searching_makes_the_input_grow() {
    let tools = json!([{"type": "web_search_20260209", "name": "web_search"}]);
    let events = stream(json!({"tools": tools}), &[]).await;
    let input = |data: &Value| data["usage"]["input_tokens"].as_u64().unwrap();
    let (_, delta) = events
        .iter()
        .find(|(name, _)| name == "message_delta")
        .unwrap();
    assert!(input(delta) > input(&events[0].1["message"]));
    assert_eq!(delta["usage"]["server_tool_use"]["web_search_requests"], 1);
    let result = events
        .iter()
        .find(|(_, data)| data["content_block"]["type"] == "web_search_tool_result");
    assert_eq!(
        result.unwrap().1["content_block"]["content"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn each_event_is_a_write_of_its_own() {
    let simulator = Running::start().await;
    let body = message(&json!({"stream": true}));
    let answer = simulator.post("/v1/messages", &body, &[]).await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    for frame in &answer.frames {
        assert!(
            frame.starts_with(b"event: ") && frame.ends_with(b"\n\n"),
            "{frame:?}"
        );
    }
}

#[tokio::test]
async fn an_asked_error_ends_the_stream() {
    let events = stream(json!({}), &[("mid-stream-error", "overloaded")]).await;
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    let delta = "content_block_delta";
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            delta,
            delta,
            delta,
            "error"
        ]
    );
    assert_eq!(
        events[6].1,
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    );
}

#[tokio::test]
async fn a_cut_stream_breaks_after_its_events() {
    let simulator = Running::start().await;
    let body = message(&json!({"stream": true}));
    for count in [0, 1, 4] {
        let cut = simulator
            .post("/v1/messages", &body, &[("cut", &count.to_string())])
            .await;
        assert!(cut.broke);
        assert_eq!(cut.events().len(), count);
    }
}

#[tokio::test]
async fn a_compressed_stream_is_the_plain_one() {
    let simulator = Running::start().await;
    let body = message(&json!({"stream": true}));
    let plain = simulator.post("/v1/messages", &body, &[]).await;
    let packed = simulator
        .post("/v1/messages", &body, &[("encoding", "gzip")])
        .await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed.body().as_slice())
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain.body());
}

#[tokio::test]
async fn silence_comes_after_its_events_and_ends_with_the_server() {
    let mut simulator = Running::start().await;
    let body = message(&json!({"stream": true})).to_string();
    let request = simulator.request("POST", "/v1/messages", body, &[("silence", "2")]);
    let mut stream = simulator.open(request).await.unwrap().into_body();
    let mut events = Vec::new();
    for _ in 0..2 {
        events.extend(stream.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert_eq!(parse_events(&events).len(), 2);
    let server = simulator.stop();
    assert!(stream.frame().await.unwrap().is_err());
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn paced_streams_wait_between_events() {
    let simulator = Running::start().await;
    let body = message(&json!({"stream": true, "max_tokens": 2}));
    let begin = tokio::time::Instant::now();
    let pace = [
        ("ttfb-ms", "20"),
        ("event-interval-ms", "5"),
        ("tokens-per-event", "1"),
    ];
    let paced = simulator.post("/v1/messages", &body, &pace).await;
    assert_eq!(paced.events().len(), 8);
    // Seven waits between eight events; only a lower bound holds on a busy machine.
    assert!(begin.elapsed().as_millis() >= 20 + 7 * 5);
}

#[tokio::test]
async fn running_streams_finish_when_the_server_stops() {
    let mut simulator = Running::start().await;
    let body = message(&json!({"stream": true, "max_tokens": 20})).to_string();
    let request = simulator.request("POST", "/v1/messages", body, &[("event-interval-ms", "2")]);
    let mut stream = simulator.open(request).await.unwrap().into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let server = simulator.stop();
    let rest = stream.collect().await.unwrap().to_bytes();
    let events = parse_events(&[first, rest].concat());
    assert_eq!(events.last().unwrap().0, "message_stop");
    server.await.unwrap().unwrap();
}
