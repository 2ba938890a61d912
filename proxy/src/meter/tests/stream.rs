//! Answers as streams of events.

use std::time::Duration;

use domain::UsageQuality::{self, Estimated, Exact, Partial};

use super::{SSE, counters, read, read_sse};
use crate::meter::Meter;
use crate::meter::tally::MOST_MEMBERS;

pub(super) const PLAIN: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[],\"model\":\"claude-opus-5\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello \\\"w\\u00f6rld\\\" ✓\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// An event with each data's own type as its name.
fn event(data: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(data).unwrap();
    format!(
        "event: {}\ndata: {data}\n\n",
        value["type"].as_str().unwrap()
    )
}

fn start(usage: &str) -> String {
    event(&format!(
        r#"{{"type":"message_start","message":{{"model":"first","usage":{usage}}}}}"#
    ))
}

fn delta(kind: &str, text: &str) -> String {
    event(&format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"x","{kind}":"{text}"}}}}"#
    ))
}

fn update(usage: &str) -> String {
    event(&format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#
    ))
}

const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn check(stream: &str, expected: [u64; 5], quality: UsageQuality) {
    let reading = read_sse(stream);
    assert_eq!(counters(&reading), expected, "{stream}");
    assert_eq!(reading.quality, quality, "{stream}");
}

#[test]
fn a_stream_ends_with_its_final_figures() {
    let reading = read_sse(PLAIN);
    assert_eq!(counters(&reading), [25, 15, 0, 0, 0]);
    assert_eq!(reading.quality, Exact);
    assert_eq!(reading.model.as_deref(), Some("claude-opus-5"));
    assert_eq!(reading.stop_reason.as_deref(), Some("end_turn"));
    assert_eq!(reading.error, None);
    assert!(reading.complete);
}

#[test]
fn line_ends_names_spaces_and_noise_make_no_difference() {
    let expected = read_sse(PLAIN);
    let without_names: String = PLAIN
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("event:"))
        .collect();
    let joined = PLAIN.replace("\"message\":{", "\ndata: \"message\":\ndata:{");
    for variant in [
        PLAIN.replace('\n', "\r\n"),
        PLAIN.replace('\n', "\r"),
        PLAIN.replace(": {", ":{").replace("event: ", "event:"),
        format!("\u{feff}{PLAIN}"),
        format!("\u{feff}\n\n: hello\n\n{PLAIN}"),
        PLAIN.replace("data:", "id: 7\nretry: 9\n:data: {}\ndata\ndatax: {}\ndata:"),
        PLAIN.replace("event: ping", "event: brand_new\ndata: {\"type\":\"brand_new\",\"usage\":{\"output_tokens\":99}}\n\nevent: ping"),
        PLAIN.replace("event: ping", "event: message_stop\n\nevent: message_stop\ndata:\n\nevent: ping"),
        PLAIN.replace("\"type\":\"message_stop\"", ""),
        PLAIN.replace(":", " : ").replace("event : ", "event:").replace("data : ", "data:"),
        without_names,
        joined,
    ] {
        assert_eq!(read_sse(&variant), expected, "{variant}");
    }
}

#[test]
fn later_figures_overwrite_earlier_ones() {
    let first = r#"{"input_tokens":2679,"output_tokens":3,"cache_creation_input_tokens":40,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":28,"ephemeral_1h_input_tokens":12},"service_tier":"standard"}"#;
    for (updates, expected) in [
        (&[r#"{"output_tokens":510}"#][..], [2679, 510, 7, 40, 12]),
        (
            &[r#"{"output_tokens":510,"input_tokens":null}"#],
            [2679, 510, 7, 40, 12],
        ),
        (
            &[r#"{"output_tokens":510,"input_tokens":10682}"#],
            [10682, 510, 7, 40, 12],
        ),
        (
            &[r#"{"output_tokens":0,"input_tokens":0,"cache_read_input_tokens":0}"#],
            [0, 0, 0, 40, 12],
        ),
        (
            &[r#"{"output_tokens":2,"cache_creation_input_tokens":90}"#],
            [2679, 2, 7, 90, 12],
        ),
        (
            &[r#"{"output_tokens":5}"#, r#"{"output_tokens":4}"#],
            [2679, 4, 7, 40, 12],
        ),
        (&[r#"{"output_tokens":5}"#, "null"], [2679, 5, 7, 40, 12]),
    ] {
        let updates: String = updates.iter().map(|usage| update(usage)).collect();
        check(&format!("{}{updates}{STOP}", start(first)), expected, Exact);
    }
}

#[test]
fn raw_is_the_first_object_with_later_ones_laid_over_it() {
    let stream = [
        start(r#"{"input_tokens":1,"output_tokens":1,"inference_geo":"us","speed":null}"#),
        update(
            r#"{"output_tokens":9,"input_tokens":null,"server_tool_use":{"web_search_requests":2}}"#,
        ),
        STOP.to_owned(),
    ];
    let usage = read_sse(&stream.concat()).usage;
    let expected = serde_json::json!({"input_tokens":1,"output_tokens":9,"inference_geo":"us","server_tool_use":{"web_search_requests":2}});
    assert_eq!(serde_json::Value::Object(usage.raw.into_tree()), expected);
    assert_eq!(usage.web_search_requests, 2);
}

#[test]
fn a_broken_stream_is_estimated_from_its_text() {
    let first = start(r#"{"input_tokens":25,"output_tokens":1,"cache_read_input_tokens":3}"#);
    let forty = "a".repeat(40);
    for (rest, output) in [
        (String::new(), 1),
        (delta("text", &forty), 10),
        (
            delta("text", &forty)
                + &delta("partial_json", r#"{\"a\":"#)
                + &delta("thinking", "abc"),
            12,
        ),
        (delta("signature", &forty), 1),
        (
            delta("text", &forty) + &update(r#"{"output_tokens":300}"#),
            300,
        ),
        (
            delta("text", &forty) + &update(r#"{"output_tokens":3}"#),
            10,
        ),
        (delta("text", &forty).trim_end().to_owned(), 1),
        (delta("text", &forty) + STOP, 10),
        (
            delta("text", &forty)
                + &event(
                    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                ),
            10,
        ),
    ] {
        check(&format!("{first}{rest}"), [25, output, 3, 0, 0], Estimated);
    }
}

#[test]
fn an_error_event_ends_the_stream() {
    let error = "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\", \"details\": {\"error_code\": \"c\"}}}\n\n";
    let reading = read_sse(&format!("{}{error}", start(r#"{"input_tokens":25}"#)));
    let told = reading.error.unwrap();
    assert_eq!(told.kind.as_deref(), Some("overloaded_error"));
    assert_eq!(told.code.as_deref(), Some("c"));
    assert_eq!(told.message.as_deref(), Some("Overloaded"));
    assert!(reading.complete);
    check(error, [0; 5], Exact);
}

#[test]
fn figures_that_make_no_sense_are_partial() {
    let first = start(r#"{"input_tokens":25,"output_tokens":1}"#);
    check(
        &format!(
            "{first}{}{STOP}",
            update(r#"{"output_tokens":4,"input_tokens":-3}"#)
        ),
        [25, 4, 0, 0, 0],
        Partial,
    );
    check(
        &format!("{}{STOP}", update(r#"{"output_tokens":4}"#)),
        [0, 4, 0, 0, 0],
        Partial,
    );
}

#[test]
fn the_model_is_the_one_that_answered() {
    let first = start(r#"{"input_tokens":25,"output_tokens":1}"#);
    let block = event(
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"fallback","from":{"model":"first"},"to":{"model":"second"}}}"#,
    );
    let other = event(
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","input":{"to":{"model":"no"}},"to":{"model":"no"}}}"#,
    );
    let turns = update(
        r#"{"output_tokens":2,"iterations":[{"type":"message","model":"first"},{"type":"fallback_message","model":"third"}]}"#,
    );
    for (rest, model) in [
        (String::new(), "first"),
        (other, "first"),
        (turns.clone(), "third"),
        (block.clone() + &turns, "second"),
        (block, "second"),
    ] {
        assert_eq!(
            read_sse(&(first.clone() + &rest)).model.as_deref(),
            Some(model),
            "{rest}"
        );
    }
}

#[test]
fn a_large_event_passes_without_being_kept() {
    let result = "x".repeat(300_000);
    let block = event(&format!(
        r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"web_search_tool_result","content":[{{"usage":{{"output_tokens":9}},"text":"{result}"}}]}}}}"#
    ));
    let stream = PLAIN.replace("event: ping\n", &format!("{block}event: ping\n"));
    assert_eq!(
        read(SSE, None, stream.as_bytes().chunks(4096)),
        read_sse(PLAIN)
    );
}

#[test]
fn usage_does_not_grow_with_ever_new_members() {
    let updates: String = (0..1_000)
        .map(|n| update(&format!(r#"{{"output_tokens":{n},"new_{n}":{n}}}"#)))
        .collect();
    let first = start(r#"{"input_tokens":9}"#);
    let reading = read_sse(&format!("{first}{updates}{STOP}"));
    assert_eq!(counters(&reading), [9, 999, 0, 0, 0]);
    assert_eq!(reading.quality, Partial);
    assert_eq!(reading.usage.raw.len(), MOST_MEMBERS);
    assert_eq!(
        reading.usage.raw.figure("output_tokens"),
        domain::Figure::Is(999)
    );
}

#[test]
fn first_content_is_timed() {
    let mut meter = Meter::new(SSE, None);
    for (index, piece) in PLAIN.split_inclusive("\n\n").enumerate() {
        assert!(!meter.is_complete());
        meter.observe(piece.as_bytes(), Duration::from_millis(10 * index as u64));
    }
    assert!(meter.is_complete());
    assert_eq!(
        meter.finish().unwrap().first_content_at,
        Some(Duration::from_millis(10))
    );
}

#[test]
fn a_stream_is_complete_with_its_blank_line_and_not_before() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = PLAIN.replace('\n', end);
        let mut meter = Meter::new(SSE, None);
        let (almost, _) = stream.split_at(stream.len() - end.len());
        meter.observe(almost.as_bytes(), Duration::ZERO);
        assert!(!meter.is_complete(), "{end:?}");
        meter.observe(end.as_bytes(), Duration::ZERO);
        assert!(meter.is_complete(), "{end:?}");
    }
}

#[test]
fn a_refusal_before_output_is_told_from_one_in_the_middle() {
    let refusal = event(
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal"},"usage":{"output_tokens":4}}"#,
    );
    let stream = |middle: &str| {
        let stop = event(r#"{"type":"message_stop"}"#);
        format!(
            "{}{middle}{refusal}{stop}",
            start(r#"{"input_tokens":9,"output_tokens":0}"#)
        )
    };
    assert!(read_sse(&stream("")).is_refused_before_output());
    let block = event(
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    );
    assert!(!read_sse(&stream(&block)).is_refused_before_output());
}
