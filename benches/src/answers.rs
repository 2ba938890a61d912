//! Answers of the Claude API, in one piece and as a stream, with their members in the API's order.

use serde_json::Value;

/// The content type of [`message`].
pub const JSON: Option<&str> = Some("application/json");
/// The content type of a stream.
pub const EVENT_STREAM: Option<&str> = Some("text/event-stream; charset=utf-8");

/// How a stream begins: everything before the first piece of text.
#[must_use]
pub fn beginning() -> Vec<u8> {
    let message = message_of("", "null", 1);
    let start = format!(r#"{{"type":"message_start","message":{message}}}"#);
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    [
        sse("message_start", &start),
        sse("content_block_start", block),
    ]
    .concat()
}

/// A piece of text in the middle of a stream, of so many characters.
#[must_use]
pub fn delta(characters: usize) -> Vec<u8> {
    let text = text(characters);
    let delta = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{text}}}}}"#
    );
    sse("content_block_delta", &delta)
}

/// How it ends.
#[must_use]
pub fn end() -> Vec<u8> {
    let usage = usage(400);
    let delta = format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{usage}}}"#
    );
    [
        sse(
            "content_block_stop",
            r#"{"type":"content_block_stop","index":0}"#,
        ),
        sse("message_delta", &delta),
        sse("message_stop", r#"{"type":"message_stop"}"#),
    ]
    .concat()
}

/// A message with a text of so many characters.
#[must_use]
pub fn message(characters: usize) -> Vec<u8> {
    let content = format!(r#"{{"type":"text","text":{}}}"#, text(characters));
    message_of(&content, r#""end_turn""#, 400).into_bytes()
}

fn message_of(content: &str, stop_reason: &str, output_tokens: u64) -> String {
    let usage = usage(output_tokens);
    format!(
        r#"{{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{content}],"stop_reason":{stop_reason},"stop_sequence":null,"usage":{usage}}}"#
    )
}

fn usage(output_tokens: u64) -> String {
    format!(
        r#"{{"input_tokens":1200,"cache_creation_input_tokens":0,"cache_read_input_tokens":9000,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":{output_tokens},"service_tier":"standard"}}"#
    )
}

/// A text as JSON.
fn text(characters: usize) -> Value {
    let text = "It was late, and \"nobody\" knew the way;\nthe lamps went out one by one. ";
    let text: String = text.chars().cycle().take(characters).collect();
    Value::String(text)
}

fn sse(name: &str, data: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}
