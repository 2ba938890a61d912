//! The results of message batches.

use std::time::Duration;

use serde_json::{Value, json};

use super::{CODINGS, encode};
use crate::meter::{Finding, FoundIn, Meter};

fn succeeded(custom_id: &str, output: u64) -> Value {
    json!({"custom_id": custom_id, "result": {"type": "succeeded", "message": {
        "type": "message", "model": "claude-sonnet-5",
        "content": [{"type": "text", "text": "a\n{\"custom_id\":\"no\"}"},
                    {"type": "tool_use", "id": "t", "name": "mcp__a__b", "input": {}}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": output, "service_tier": "batch"}}}})
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn read(
    coding: Option<&str>,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    at_end: bool,
) -> Vec<Finding> {
    let mut meter = Meter::of_batch_results(coding);
    let mut results = Vec::new();
    for piece in pieces {
        meter.observe(piece.as_ref(), Duration::ZERO);
        results.extend(meter.take_findings(false));
    }
    results.extend(meter.take_findings(at_end));
    results
}

fn seen(results: &[Finding]) -> Vec<(&str, u64)> {
    results
        .iter()
        .map(|result| match &result.of {
            FoundIn::BatchItem(id) => (id.as_str(), result.usage.tokens.output),
            FoundIn::Total(_) => panic!("no total is among them"),
        })
        .collect()
}

#[test]
fn what_succeeded_is_read_line_by_line() {
    let mut tierless = succeeded("tierless", 5);
    tierless["result"]["message"]["usage"]["service_tier"].take();
    let body = lines(&[
        succeeded("one", 1),
        json!({"custom_id": "two", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error"}}}}),
        json!({"custom_id": "three", "result": {"type": "canceled"}}),
        json!({"result": {"type": "expired"}, "custom_id": "four"}),
        json!({"result": {"message": {"usage": {"input_tokens": 1, "output_tokens": 9}}, "type": "succeeded"}, "custom_id": "five"}),
        tierless,
    ]);
    let whole = read(None, [&body], true);
    assert_eq!(seen(&whole), [("one", 1), ("five", 9), ("tierless", 5)]);
    for result in &whole {
        assert_eq!(
            result.usage.service_tier.as_deref(),
            Some("batch"),
            "{:?}",
            result.of
        );
        assert_eq!(result.quality, domain::UsageQuality::Exact);
    }
    assert_eq!(whole[0].model.as_deref(), Some("claude-sonnet-5"));
    assert_eq!(whole[0].calls.len(), 1);
    for coding in CODINGS {
        let bytes = encode(coding, body.as_bytes());
        for size in [1, 2, 7, 100] {
            assert_eq!(
                read(Some(coding), bytes.chunks(size), true),
                whole,
                "{coding} by {size}"
            );
        }
    }
}

#[test]
fn the_last_line_counts_with_its_end_or_the_answers() {
    let body = lines(&[succeeded("one", 1), succeeded("two", 2)]);
    let endless = body.trim_end();
    assert_eq!(seen(&read(None, [endless], true)), [("one", 1), ("two", 2)]);
    assert_eq!(seen(&read(None, [endless], false)), [("one", 1)]);
    let (cut, _) = endless.split_at(endless.len() - 1);
    assert_eq!(seen(&read(None, [cut], true)), [("one", 1)]);
}

#[test]
fn lines_that_are_something_else_do_no_harm() {
    let good = succeeded("good", 1).to_string();
    for bad in [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        "{\"custom_id\":",
        "\"",
        "{\"result\":{\"type\":\"succeeded\"}}",
    ] {
        let body = format!("{good}\n{bad}\r\n{good}\n");
        assert_eq!(seen(&read(None, [body], true)), [("good", 1); 2], "{bad}");
    }
}
