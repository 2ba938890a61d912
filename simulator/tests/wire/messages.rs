//! JSON answers: their content, their usage, and what asks for them.

use serde_json::{Value, json};
use simulator::Options;

use crate::client::{Running, message};

async fn answer(changes: Value, steering: &[(&str, &str)]) -> Value {
    let simulator = Running::start().await;
    let answer = simulator
        .post("/v1/messages", &message(&changes), steering)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn kinds(answer: &Value) -> Vec<&str> {
    let blocks = answer["content"].as_array().unwrap();
    blocks
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_message_has_the_apis_shape() {
    let simulator = Running::start().await;
    let answer = simulator
        .post("/v1/messages", &message(&json!({})), &[])
        .await;
    let length = answer.body().len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(
        answer.header("anthropic-organization-id").unwrap().len(),
        36
    );
    for kind in ["requests", "tokens", "input-tokens", "output-tokens"] {
        for name in ["limit", "remaining", "reset"] {
            assert!(
                answer
                    .header(&format!("anthropic-ratelimit-{kind}-{name}"))
                    .is_some()
            );
        }
    }
    let body = answer.json();
    let text = body["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        body,
        json!({
            "model": "claude-sonnet-4-5-20250929",
            "id": body["id"],
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "stop_details": null,
            "usage": {
                "input_tokens": 7,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": text.split(' ').count(),
                "service_tier": "standard",
                "inference_geo": "not_available",
            },
        })
    );
}

#[tokio::test]
async fn the_same_request_has_the_same_answer() {
    let bodies = |seed: u64| async move {
        let options = Options {
            seed,
            ..Options::default()
        };
        let simulator = Running::with(options, false).await;
        let mut answers = Vec::new();
        for changes in [
            json!({}),
            json!({}),
            json!({"stream": true}),
            json!({"max_tokens": 9}),
        ] {
            let answer = simulator
                .post("/v1/messages", &message(&changes), &[])
                .await;
            let request_id = answer.header("request-id").unwrap().to_owned();
            answers.push((request_id, answer.body()));
        }
        answers
    };
    let answers = bodies(1).await;
    assert_eq!(answers, bodies(1).await);
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[3]);
    assert_ne!(answers[0], bodies(2).await[0]);
}

#[tokio::test]
async fn length_is_steered_and_capped() {
    for (max_tokens, steering, expected, stop_reason) in [
        (4000, Some("17"), 17, "end_turn"),
        (17, Some("17"), 17, "end_turn"),
        (16, Some("17"), 16, "max_tokens"),
        (3, None, 3, "max_tokens"),
        (0, None, 0, "max_tokens"),
    ] {
        let steering: Vec<_> = steering
            .map(|tokens| ("output-tokens", tokens))
            .into_iter()
            .collect();
        let body = answer(json!({"max_tokens": max_tokens}), &steering).await;
        assert_eq!(body["usage"]["output_tokens"], expected);
        assert_eq!(body["stop_reason"], stop_reason);
        assert_eq!(kinds(&body).len(), usize::from(expected > 0));
    }
}

#[tokio::test]
async fn thinking_comes_first_and_is_counted() {
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let body = answer(json!({"thinking": thinking}), &[("output-tokens", "90")]).await;
    assert_eq!(kinds(&body), ["thinking", "text"]);
    let thought = body["content"][0]["thinking"].as_str().unwrap();
    assert_eq!(thought.split(' ').count(), 30);
    assert_eq!(
        body["usage"]["output_tokens_details"],
        json!({"thinking_tokens": 30})
    );
    assert_eq!(body["usage"]["output_tokens"], 90);
    assert!(!body["content"][0]["signature"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn omitted_thinking_is_still_counted() {
    let thinking = json!({"type": "adaptive", "display": "omitted"});
    let body = answer(json!({"thinking": thinking}), &[("output-tokens", "90")]).await;
    assert_eq!(body["content"][0]["thinking"], "");
    assert_eq!(
        body["usage"]["output_tokens_details"],
        json!({"thinking_tokens": 30})
    );
}

#[tokio::test]
async fn forced_tools_are_called_with_a_fitting_input() {
    let tools = json!([
        {"type": "code_execution_20250522", "name": "code_execution"},
        {"name": "get_weather", "input_schema": {"type": "object", "required": ["city", "days"],
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}},
    ]);
    for (choice, steering) in [
        (json!({"type": "any"}), vec![]),
        (json!({"type": "tool", "name": "get_weather"}), vec![]),
        (json!({"type": "auto"}), vec![("tool", "get_weather")]),
    ] {
        let body = answer(json!({"tools": tools, "tool_choice": choice}), &steering).await;
        assert_eq!(kinds(&body), ["text", "tool_use"]);
        assert_eq!(body["stop_reason"], "tool_use");
        let call = &body["content"][1];
        assert_eq!(call["name"], "get_weather");
        assert!(
            call["input"]["city"].is_string() && call["input"]["days"].is_u64(),
            "{call}"
        );
    }
}

#[tokio::test]
async fn tool_results_are_answered_in_words() {
    let body = answer(
        json!({
            "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "any"},
            "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sun"}]}],
        }),
        &[],
    )
    .await;
    assert_eq!(kinds(&body), ["text"]);
    assert_eq!(body["stop_reason"], "end_turn");
}

#[tokio::test]
async fn servers_are_asked_within_the_answer() {
    let body = answer(
        json!({
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "mcp_servers": [{"type": "url", "name": "docs", "url": "https://example.com/mcp"}],
        }),
        &[],
    )
    .await;
    assert_eq!(
        kinds(&body),
        [
            "server_tool_use",
            "web_search_tool_result",
            "mcp_tool_use",
            "mcp_tool_result",
            "text"
        ]
    );
    let content = &body["content"];
    assert_eq!(content[0]["id"], content[1]["tool_use_id"]);
    assert_eq!(content[2]["id"], content[3]["tool_use_id"]);
    assert_eq!(content[2]["server_name"], "docs");
    assert_eq!(
        body["usage"]["server_tool_use"],
        json!({"web_search_requests": 1, "web_fetch_requests": 0})
    );
}

#[tokio::test]
async fn caches_are_written_or_read_as_steered() {
    let system = json!([{"type": "text", "text": "x".repeat(400), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
    let usage = |body: &Value| {
        let usage = &body["usage"];
        [
            usage["input_tokens"].clone(),
            usage["cache_creation_input_tokens"].clone(),
            usage["cache_creation"]["ephemeral_1h_input_tokens"].clone(),
            usage["cache_read_input_tokens"].clone(),
        ]
    };
    let miss = answer(json!({"system": system}), &[]).await;
    assert_eq!(usage(&miss), [7, 101, 101, 0]);
    let hit = answer(json!({"system": system}), &[("cache", "hit")]).await;
    assert_eq!(usage(&hit), [7, 0, 0, 101]);
}

#[tokio::test]
async fn refusals_are_answers() {
    let body = answer(json!({}), &[("refusal", "true")]).await;
    assert_eq!(body["stop_reason"], "refusal");
    assert_eq!(body["stop_details"]["type"], "refusal");
    assert_eq!(
        (kinds(&body).len(), &body["usage"]["output_tokens"]),
        (0, &json!(0))
    );
    let body = answer(json!({"model": "claude-opus-5@refusal=mid"}), &[]).await;
    assert_eq!(
        (&body["stop_reason"], &body["model"]),
        (&json!("refusal"), &json!("claude-opus-5"))
    );
    assert_eq!(kinds(&body), ["text"]);
}

#[tokio::test]
async fn counting_tells_what_a_message_would() {
    let simulator = Running::start().await;
    let body = message(&json!({"system": "You are kind.", "max_tokens": null}));
    let counted = simulator
        .post("/v1/messages/count_tokens", &body, &[])
        .await
        .json();
    let answered = answer(json!({"system": "You are kind."}), &[]).await;
    assert_eq!(
        counted,
        json!({"input_tokens": answered["usage"]["input_tokens"]})
    );
}
