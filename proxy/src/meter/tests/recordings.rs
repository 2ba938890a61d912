//! Real exchanges, metered as they must be.

use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::{CODINGS, JSON, SSE, counters, encode, read};
use crate::meter::Reading;

/// The exchanges, where they are at hand: they are not part of this repository.
fn exchanges() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/recordings/claude-exchanges.jsonl");
    let Ok(lines) = std::fs::read_to_string(&path) else {
        println!("skipped: no recordings at {}", path.display());
        return Vec::new();
    };
    let parse = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(parse).collect()
}

fn content_type(exchange: &Value) -> Option<&'static str> {
    if exchange["kind"] == "sse" { SSE } else { JSON }
}

/// What must be stored, in the terms of a reading.
fn expected_counters(expected: &Value) -> [u64; 5] {
    let [input, output, cache_read, write_5m, write_1h] = [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
    ]
    .map(|name| expected[name].as_u64().unwrap());
    [input, output, cache_read, write_5m + write_1h, write_1h]
}

fn check(exchange: &Value, reading: &Reading) {
    let (id, expected) = (&exchange["id"], &exchange["expected"]);
    assert!(reading.complete, "{id}");
    assert_eq!(reading.quality, domain::UsageQuality::Exact, "{id}");
    if expected.is_null() {
        assert_eq!(counters(reading), [0; 5], "{id}");
        assert_eq!(reading.error.is_some(), exchange["status"] != 200, "{id}");
        return;
    }
    assert_eq!(counters(reading), expected_counters(expected), "{id}");
    assert_eq!(reading.model.as_deref(), expected["model"].as_str(), "{id}");
    let searches = expected["web_search_requests"].as_u64().unwrap();
    assert_eq!(reading.usage.web_search_requests, searches, "{id}");
}

#[test]
fn recorded_exchanges_are_metered_exactly() {
    for exchange in exchanges() {
        let body = exchange["body"].as_str().unwrap();
        check(&exchange, &read(content_type(&exchange), None, [body]));
    }
}

#[test]
fn recorded_exchanges_are_metered_alike_in_any_pieces_and_coding() {
    let mut runner = TestRunner::deterministic();
    for exchange in exchanges() {
        let content_type = content_type(&exchange);
        let body = exchange["body"].as_str().unwrap();
        let expected = read(content_type, None, [body]);
        for coding in CODINGS {
            let bytes = encode(coding, body.as_bytes());
            let size = (1_usize..2000).new_tree(&mut runner).unwrap().current();
            let reading = read(content_type, Some(coding), bytes.chunks(size));
            assert_eq!(
                reading, expected,
                "{} in {coding} by {size}",
                exchange["id"]
            );
        }
    }
}

/// In two pieces, for every place between them.
#[test]
fn small_recorded_exchanges_are_metered_alike_wherever_they_are_cut() {
    const SMALL: usize = 3_000;
    for exchange in exchanges() {
        let content_type = content_type(&exchange);
        let body = exchange["body"].as_str().unwrap().as_bytes();
        if body.len() > SMALL {
            continue;
        }
        let expected = read(content_type, None, [body]);
        for cut in 1..body.len() {
            let (first, second) = body.split_at(cut);
            let reading = read(content_type, None, [first, second]);
            assert_eq!(reading, expected, "{} cut at {cut}", exchange["id"]);
        }
    }
}

/// How far the estimate of a broken stream is off, on streams whose figures are known: cut before those come.
#[test]
fn estimates_fit_recorded_streams() {
    let (mut estimated, mut counted, mut deviation, mut streams) = (0_u64, 0_u64, 0.0, 0_u32);
    for exchange in exchanges() {
        let body = exchange["body"].as_str().unwrap();
        let hidden = ["redacted_thinking", "iterations"];
        let Some((beginning, _)) = body.split_once("event: message_delta") else {
            continue;
        };
        // Thinking that isn't shown, and turns of other models, are in no text.
        if hidden.iter().any(|word| body.contains(word)) {
            continue;
        }
        let expected = &exchange["expected"]["output_tokens"];
        let Some(expected) = expected.as_u64().filter(|output| *output >= 10) else {
            continue;
        };
        let reading = read(SSE, None, [beginning]);
        assert_eq!(reading.quality, domain::UsageQuality::Estimated);
        let output = reading.usage.tokens.output;
        estimated += output;
        counted += expected;
        deviation += (f64::from(u32::try_from(output).unwrap())
            / f64::from(u32::try_from(expected).unwrap())
            - 1.0)
            .abs();
        streams += 1;
    }
    if streams == 0 {
        return;
    }
    let mean = deviation / f64::from(streams);
    println!(
        "{streams} streams: {estimated} tokens estimated, {counted} counted, each {:.0} % off",
        mean * 100.0
    );
    assert!(mean < 0.25, "{mean}");
    let ratio =
        f64::from(u32::try_from(estimated).unwrap()) / f64::from(u32::try_from(counted).unwrap());
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}
