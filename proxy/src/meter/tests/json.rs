//! Answers in one piece of JSON.

use domain::UsageQuality::{self, Estimated, Exact, Partial};

use super::{counters, read, read_json};
use crate::meter::ApiError;

fn check(body: &str, expected: [u64; 5], quality: UsageQuality) {
    let reading = read_json(body);
    assert_eq!(counters(&reading), expected, "{body}");
    assert_eq!(reading.quality, quality, "{body}");
}

#[test]
fn usage_is_read_at_the_top_level_and_nowhere_else() {
    for body in [
        r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"usage":{"output_tokens":2,"input_tokens":1},"content":[{"usage":{"input_tokens":9}}]}"#,
        r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":9,"output_tokens":9}}}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"text":"\"usage\":{\"input_tokens\":9}","usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"text":"}\\","usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"usage":{"input_tokens":1,"output_tokens":2},"text":"\"usage\":{\"input_tokens\":9}"}"#,
        r#"{"us\u0061ge":{"input_tokens":1,"output_t\u006fkens":2}}"#,
        r#"{"usage":{"input_tokens":9},"usage":{"input_tokens":1,"output_tokens":2}}"#,
        "\r\n\t { \"usage\" \n:\t{ \"input_tokens\" : 1 , \"output_tokens\" : 2 } \n , \"x\" : [ ] } \n",
        r#"{"Usage":7,"usage ":8,"usag":9,"n":-1.5e3,"t":true,"z":null,"usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"error":null,"usage":{"input_tokens":1,"output_tokens":2}}"#,
        r#"{"usage":{"input_tokens":1,"output_tokens":2},"cut":"sho"#,
        r#"{"usage":{"input_tokens":1,"output_tokens":2},<html>"#,
    ] {
        check(body, [1, 2, 0, 0, 0], Exact);
    }
}

#[test]
fn cache_writes_are_the_total_or_the_sum_of_the_split() {
    let check = |usage: &str, cache: [u64; 3]| {
        let body = format!(r#"{{"usage":{{"input_tokens":1,"output_tokens":2,{usage}}}}}"#);
        assert_eq!(counters(&read_json(&body))[2..], cache, "{usage}");
    };
    let split =
        r#""cache_creation":{"ephemeral_5m_input_tokens":30,"ephemeral_1h_input_tokens":12}"#;
    check(r#""cache_read_input_tokens":5"#, [5, 0, 0]);
    check(r#""cache_creation_input_tokens":42"#, [0, 42, 0]);
    check(
        r#""cache_creation_input_tokens":null,"cache_creation":null"#,
        [0, 0, 0],
    );
    check(split, [0, 42, 12]);
    check(
        &format!(r#"{split},"cache_creation_input_tokens":null"#),
        [0, 42, 12],
    );
    check(
        &format!(r#"{split},"cache_creation_input_tokens":50"#),
        [0, 50, 12],
    );
    check(
        &format!(r#"{split},"cache_creation_input_tokens":0"#),
        [0, 0, 0],
    );
}

#[test]
fn figures_that_make_no_sense_count_as_absent() {
    for (usage, expected) in [
        (r#"{"input_tokens":-1,"output_tokens":2}"#, [0, 2, 0, 0, 0]),
        (r#"{"input_tokens":1,"output_tokens":2.5}"#, [1, 0, 0, 0, 0]),
        (r#"{"input_tokens":"1","output_tokens":2}"#, [0, 2, 0, 0, 0]),
        (
            r#"{"input_tokens":99999999999999999999,"output_tokens":2}"#,
            [0, 2, 0, 0, 0],
        ),
        (
            r#"{"input_tokens":1,"output_tokens":2,"cache_creation":{"ephemeral_1h_input_tokens":-3}}"#,
            [1, 2, 0, 0, 0],
        ),
        (r#"{"input_tokens":1}"#, [1, 0, 0, 0, 0]),
        ("[]", [0; 5]),
        (r#""none""#, [0; 5]),
    ] {
        check(
            &format!(r#"{{"type":"message","usage":{usage}}}"#),
            expected,
            Partial,
        );
    }
}

#[test]
fn a_usage_too_large_to_keep_is_partial() {
    let padding = " ".repeat(70_000);
    let body =
        format!(r#"{{"usage":{{"input_tokens":1,{padding}"output_tokens":2}},"model":"m"}}"#);
    check(&body, [0; 5], Partial);
    let reading = read(super::JSON, None, body.as_bytes().chunks(1000));
    assert_eq!(reading.quality, Partial);
    assert_eq!(reading.model.as_deref(), Some("m"));
}

#[test]
fn what_consumes_nothing_is_exactly_zero() {
    for body in [
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        r#"{"error":{"message":"no type"}}"#,
        r#"{"input_tokens":1114}"#,
        r#"{"type":"file","id":"file_1"}"#,
        r#"{"type":"session","usage":{"input_tokens":5,"output_tokens":6}}"#,
        r#"[{"usage":{"input_tokens":5}}]"#,
        "<!DOCTYPE html><html>usage</html>",
        "upstream connect error",
        "{not json",
    ] {
        check(body, [0; 5], Exact);
    }
}

#[test]
fn a_message_without_its_figures_is_estimated() {
    for body in [
        "",
        "{",
        r#"{"type":"message","content":[{"text":"abc"}]"#,
        r#"{"type":"message","content":[],"usage":{"input_tokens":1,"#,
        r#"{"type":"message","content":[]}"#,
        r#"{"type":"message","usage":null}"#,
        r#"{"type":"message","content":[}"#,
        r#"{"type":"message","content":[{},1}"#,
        r#"{"type":"message",<html>"#,
    ] {
        check(body, [0; 5], Estimated);
    }
}

#[test]
fn an_answer_is_complete_when_its_value_is_closed() {
    for (body, complete) in [
        ("{}", true),
        ("[{}]\n", true),
        (r#"{"a":{"b":1}}"#, true),
        (r#"{"a":{"b":1}"#, false),
        (r#"{"a":"}"#, false),
        ("<html></html>", false),
        ("Bad gateway, try again", false),
        ("", false),
    ] {
        assert_eq!(read_json(body).complete, complete, "{body}");
    }
}

#[test]
fn an_error_is_told_in_bounded_words() {
    let long = "é".repeat(2000);
    let body = format!(
        r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"{long}","details":{{"error_code":"enforced_spend_limit_reached"}}}},"request_id":"req_1"}}"#
    );
    let expected = ApiError {
        kind: Some("rate_limit_error".to_owned()),
        code: Some("enforced_spend_limit_reached".to_owned()),
        message: Some("é".repeat(512)),
    };
    assert_eq!(read_json(&body).error, Some(expected));
    assert_eq!(
        read_json(r#"{"type":"message","error":{"type":"x"}}"#).error,
        None
    );
}

#[test]
fn the_rest_of_a_message_is_told_too() {
    let usage = r#"{"input_tokens":1,"output_tokens":2,"service_tier":"priority","speed":null,"server_tool_use":{"web_search_requests":3},"iterations":[{"type":"message"}]}"#;
    let body = format!(
        r#"{{"model":"claude-opus-5","type":"message","stop_reason":"refusal","usage":{usage}}}"#
    );
    let reading = read_json(&body);
    assert_eq!(reading.model.as_deref(), Some("claude-opus-5"));
    assert_eq!(reading.stop_reason.as_deref(), Some("refusal"));
    assert_eq!(reading.usage.web_search_requests, 3);
    assert_eq!(reading.usage.service_tier.as_deref(), Some("priority"));
    assert_eq!(
        reading.usage.raw.iterations().unwrap()[0]["type"],
        "message"
    );
    assert!(reading.usage.raw.word("speed").is_none());
}

#[test]
fn iterations_count_as_their_sum() {
    let body = |iterations: &str| {
        format!(
            r#"{{"type":"message","usage":{{"input_tokens":3,"output_tokens":1,"iterations":{iterations}}}}}"#
        )
    };
    let turns = r#"[{"type":"message","input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3},
        {"type":"advisor_message","model":"m","input_tokens":10,"output_tokens":20,"cache_creation_input_tokens":40,
         "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":30}}]"#;
    check(&body(turns), [11, 22, 3, 40, 30], Exact);
    check(&body("[]"), [3, 1, 0, 0, 0], Exact);
    check(&body("null"), [3, 1, 0, 0, 0], Exact);
    // Something else than iterations.
    check(&body("7"), [3, 1, 0, 0, 0], Partial);
    check(&body("[7]"), [3, 1, 0, 0, 0], Partial);
    check(
        &body(r#"[{"type":"message","input_tokens":1}]"#),
        [1, 1, 0, 0, 0],
        Partial,
    );
    check(
        &body(r#"[{"input_tokens":1,"output_tokens":-2}]"#),
        [1, 1, 0, 0, 0],
        Partial,
    );
}

#[test]
fn a_refusal_without_content_is_told_from_others() {
    let body = |content: &str, reason: &str| {
        format!(
            r#"{{"type":"message",{content}"stop_reason":"{reason}","usage":{{"input_tokens":3,"output_tokens":1}}}}"#
        )
    };
    for (content, reason, expected) in [
        (r#""content":[],"#, "refusal", true),
        ("\"content\" : [ \n\t ] ,", "refusal", true),
        ("", "refusal", true),
        (
            r#""content":[{"type":"text","text":"I"}],"#,
            "refusal",
            false,
        ),
        (r#""content":[],"#, "max_tokens", false),
    ] {
        let body = body(content, reason);
        let whole = read_json(&body);
        assert_eq!(whole.is_refused_before_output(), expected, "{body}");
        let bytewise = read(super::JSON, None, body.as_bytes().chunks(1));
        assert_eq!(bytewise, whole, "{body}");
    }
}
