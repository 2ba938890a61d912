//! MCP tools that answers call.

use serde_json::{Value, json};

use super::{JSON, SSE, read, read_json};
use crate::meter::{Call, CallResult, Reading};

fn message(content: &Value) -> String {
    json!({"type": "message", "content": content, "usage": {"input_tokens": 1, "output_tokens": 2}})
        .to_string()
}

fn call(
    id: &str,
    server: Option<&str>,
    name: &str,
    input_bytes: u64,
    result: Option<(bool, u64)>,
) -> Call {
    Call {
        id: id.to_owned(),
        server_name: server.map(str::to_owned),
        name: name.to_owned(),
        input_bytes,
        result: result.map(|(is_error, bytes)| CallResult { is_error, bytes }),
    }
}

/// Of the connector, of the caller, and others that are none of ours.
fn content() -> Value {
    json!([
        {"type": "text", "text": "mcp__a__b [{\"type\":\"mcp_tool_use\"}]"},
        {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "echo", "server_name": "example", "input": {"a": [1, "}]"]}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": false, "content": [{"type": "text", "text": "Hello"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "mcp__github__list", "input": {}},
        {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Rome"}},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "mcp__no", "input": {}},
        {"type": "mcp_tool_use", "id": "mcptoolu_2", "name": "fail", "server_name": "example", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_2", "is_error": true, "content": []},
        {"type": "mcp_tool_result", "tool_use_id": "of earlier", "is_error": true, "content": []},
    ])
}

fn expected() -> [Call; 3] {
    [
        call("mcptoolu_1", Some("example"), "echo", 14, Some((false, 32))),
        call("toolu_1", None, "mcp__github__list", 2, None),
        call("mcptoolu_2", Some("example"), "fail", 2, Some((true, 2))),
    ]
}

#[test]
fn calls_are_read_from_an_answer_in_one_piece() {
    let body = message(&content());
    let reading = read_json(&body);
    assert_eq!(reading.calls, expected());
    assert_eq!(reading.quality, domain::UsageQuality::Exact);
    for size in 1..40 {
        let in_pieces = read(JSON, None, body.as_bytes().chunks(size));
        assert_eq!(in_pieces, reading, "by {size}");
    }
    for nothing in [
        json!([]),
        json!("mcp"),
        json!([1, "a", null, [{"type": "mcp_tool_use"}]]),
        json!({"type": "mcp_tool_use"}),
    ] {
        let reading = read_json(&message(&nothing));
        assert_eq!(reading.calls, [], "{nothing}");
        assert_eq!(reading.quality, domain::UsageQuality::Exact, "{nothing}");
    }
}

/// The same as a stream: inputs come in pieces, results with their block.
fn stream(content: &Value) -> String {
    let event = |data: Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap()
        )
    };
    let mut stream = event(
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}),
    );
    for (index, block) in content.as_array().unwrap().iter().enumerate() {
        let mut start = block.clone();
        let input = start["input"].take();
        start["input"] = json!({});
        stream +=
            &event(json!({"type": "content_block_start", "index": index, "content_block": start}));
        // The first piece is empty, as the API has it.
        let text = if input.is_null() || input == json!({}) {
            String::new()
        } else {
            input.to_string()
        };
        let (first, second) = text.split_at(text.len() / 2);
        for piece in ["", first, second] {
            stream += &event(json!({"type": "content_block_delta", "index": index,
                                    "delta": {"type": "input_json_delta", "partial_json": piece}}));
        }
        stream += &event(json!({"type": "content_block_stop", "index": index}));
    }
    stream += &event(
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
    );
    stream + &event(json!({"type": "message_stop"}))
}

fn read_stream(content: &Value) -> Reading {
    read(SSE, None, [stream(content)])
}

#[test]
fn calls_are_read_from_a_stream() {
    let reading = read_stream(&content());
    assert_eq!(reading.calls, expected());
    for size in 1..40 {
        let in_pieces = read(SSE, None, stream(&content()).as_bytes().chunks(size));
        assert_eq!(in_pieces, reading, "by {size}");
    }
}

#[test]
fn a_stream_that_breaks_off_has_the_calls_so_far() {
    let whole = stream(&content());
    let (beginning, _) = whole.split_once("\"is_error\":true").unwrap();
    let calls = read(SSE, None, [beginning]).calls;
    assert_eq!(calls[..2], expected()[..2]);
    assert_eq!(calls[2].result, None);
}

#[test]
fn of_very_many_calls_the_rest_is_counted() {
    let one = json!({"type": "tool_use", "id": "toolu", "name": "mcp__a__b", "input": {}});
    let many = Value::Array(vec![one; 300]);
    for reading in [read_json(&message(&many)), read_stream(&many)] {
        assert_eq!((reading.calls.len(), reading.more_calls), (256, 44));
    }
}
