//! Sessions and dreams.

use std::time::Duration;

use domain::{Picodollars, UsageQuality};
use serde_json::{Value, json};

use crate::meter::{Finding, FoundIn, Meter};

fn session(id: &str, usage: &Value) -> Value {
    json!({
        "id": id, "type": "session", "status": "running", "stats": {"active_seconds": 99},
        "agent": {"id": "agent_1", "type": "agent", "multiagent": null, "system": "{\"type\":\"dream\"}",
            "model": {"id": "claude-opus-5-5", "speed": "fast", "inference_geo": "us"}},
        "usage": usage,
    })
}

fn usage() -> Value {
    json!({
        "input_tokens": 5_000_000_000_u64, "output_tokens": 7, "cache_read_input_tokens": 2,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 4},
        "server_tool_use": {"web_search_requests": 3}, "active_seconds": 1.5,
        "list_cost": {"amount": "250", "currency": "USD"},
    })
}

fn read(path_id: Option<&str>, content_type: &str, body: &str, piece: usize) -> Vec<Finding> {
    let mut meter = Meter::of_totals(path_id.map(str::to_owned), Some(content_type), None);
    let mut found = Vec::new();
    for piece in body.as_bytes().chunks(piece) {
        meter.observe(piece, Duration::ZERO);
        found.extend(meter.take_findings(false));
    }
    found.extend(meter.take_findings(true));
    found
}

/// Who shows what, for whom: the same in pieces of any size.
fn check(path_id: Option<&str>, content_type: &str, body: &str, expected: &[(&str, &str, u64)]) {
    let whole = read(path_id, content_type, body, body.len().max(1));
    let seen: Vec<_> = whole
        .iter()
        .map(|finding| match &finding.of {
            FoundIn::Total(total) => (
                total.shown_by.as_str(),
                total.id.as_str(),
                finding.usage.tokens.output,
            ),
            FoundIn::BatchItem(id) => panic!("{id} is an item of a batch"),
        })
        .collect();
    assert_eq!(seen, expected, "{body}");
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(
            read(path_id, content_type, body, piece),
            whole,
            "by {piece}"
        );
    }
}

#[test]
fn totals_are_read_wherever_they_are() {
    let (json_type, events) = ("application/json", "text/event-stream");
    let one = session("sesn_1", &usage());
    check(
        Some("sesn_1"),
        json_type,
        &one.to_string(),
        &[("sesn_1", "sesn_1", 7)],
    );
    let list = json!({"data": [one, session("sesn_2", &json!({"input_tokens": 1, "output_tokens": 2}))],
        "next_page": null});
    let both = [("sesn_1", "sesn_1", 7), ("sesn_2", "sesn_2", 2)];
    check(None, json_type, &list.to_string(), &both);
    let dream = json!({"id": "drm_1", "type": "dream", "model": {"id": "claude-sonnet-5", "speed": "standard"},
        "session_id": "sesn_3", "usage": {"input_tokens": 1, "output_tokens": 9}});
    check(
        Some("drm_1"),
        json_type,
        &dream.to_string(),
        &[("drm_1", "sesn_3", 9)],
    );
    let event = json!({"id": "evt_1", "type": "session.usage", "usage": usage(), "budget": null});
    let other = json!({"id": "evt_2", "type": "span.model_request_end",
        "model_usage": {"input_tokens": 1, "output_tokens": 1}});
    let listed = json!({"data": [event, other], "next_page": null}).to_string();
    check(
        Some("sesn_1"),
        json_type,
        &listed,
        &[("sesn_1", "sesn_1", 7)],
    );
    let streamed = format!(
        "event: session.usage\ndata: {event}\n\ndata: {other}\n\nevent: ping\ndata: {{}}\n\n"
    );
    check(
        Some("sesn_1"),
        events,
        &streamed,
        &[("sesn_1", "sesn_1", 7)],
    );
    for nothing in [
        "",
        "null",
        "<html>",
        "[]",
        r#"{"type":"session_deleted","id":"s"}"#,
        r#"{"type":"session_thread","id":"t","usage":{"input_tokens":1}}"#,
        r#"{"data":[{}, 1, null]}"#,
    ] {
        check(Some("sesn_1"), json_type, nothing, &[]);
    }
}

#[test]
fn a_total_has_all_that_its_price_needs() {
    let body = session("sesn_1", &usage()).to_string();
    let finding = read(None, "application/json", &body, 1000).remove(0);
    assert_eq!(finding.model.as_deref(), Some("claude-opus-5-5"));
    assert_eq!(finding.quality, UsageQuality::Exact);
    let tokens = finding.usage.tokens;
    assert_eq!(
        (
            tokens.input,
            tokens.cache_read,
            tokens.cache_write,
            tokens.cache_write_1h
        ),
        (5_000_000_000, 2, 34, 4)
    );
    assert_eq!(finding.usage.web_search_requests, 3);
    assert_eq!(finding.usage.raw.word("speed"), Some("fast"));
    assert_eq!(finding.usage.raw.word("inference_geo"), Some("us"));
    let FoundIn::Total(total) = finding.of else {
        panic!("it is a total")
    };
    assert_eq!(total.active_ms, 1500);
    assert_eq!(total.list_cost, Some(Picodollars(2_500_000_000_000)));
    assert!(!total.mixed_models);
    assert_eq!(Value::Object(total.raw.into_tree()), usage());
}

#[test]
fn what_a_total_leaves_open_is_said() {
    let quality = |usage: &Value| {
        let body = session("sesn_1", usage).to_string();
        read(None, "application/json", &body, 1000)
            .remove(0)
            .quality
    };
    for (usage, expected) in [
        (json!(null), UsageQuality::Exact),
        (json!({}), UsageQuality::Exact),
        // What is null isn't said.
        (
            json!({"input_tokens": null, "output_tokens": null}),
            UsageQuality::Exact,
        ),
        (
            json!({"input_tokens": 1, "output_tokens": null}),
            UsageQuality::Partial,
        ),
        (
            json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 5, "cache_creation": null}),
            UsageQuality::Partial,
        ),
        (json!({"input_tokens": 1}), UsageQuality::Partial),
        (
            json!({"input_tokens": -1, "output_tokens": 1}),
            UsageQuality::Partial,
        ),
        // For how long it was written is what its price depends on.
        (
            json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 5}),
            UsageQuality::Partial,
        ),
    ] {
        assert_eq!(quality(&usage), expected, "{usage}");
    }
    let mut body = session("sesn_1", &usage());
    body["agent"]["multiagent"] = json!({"type": "coordinator"});
    let finding = read(None, "application/json", &body.to_string(), 1000).remove(0);
    assert!(matches!(finding.of, FoundIn::Total(total) if total.mixed_models));
}
