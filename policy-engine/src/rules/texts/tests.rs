use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::testing::{any_body, faults_of};
use super::*;

fn patterns(rules: &Value) -> Option<Patterns> {
    let mut faults = Faults::new();
    let patterns = Patterns::read(&mut Reader::new(&Item::new("$", rules), &mut faults));
    assert_eq!(faults, [], "{rules}");
    patterns
}

fn secrets() -> Patterns {
    patterns(&json!({"blocked_patterns": [
        {"name": "aws-key", "pattern": "AKIA[0-9A-Z]{4}"},
        {"name": "umlaut", "pattern": "(?i)ÄRGER"},
    ]}))
    .unwrap()
}

fn name(found: Option<Found>) -> Option<String> {
    found.map(|found| match found {
        Found::Pattern(name) => name.to_string(),
        Found::Unreadable => "unreadable".to_owned(),
    })
}

#[test]
fn texts_are_searched_as_they_are_read() {
    let (key, nothing) = (Some("aws-key"), None);
    for (json, expected) in [
        (r#""my AKIA1234""#, key),
        (r#""my AKIA123""#, nothing),
        (r#""\u0041KIA1234""#, key),
        (r#""kein ärger""#, Some("umlaut")),
        (r#"[{"role":"user","content":"AKIA1234"}]"#, key),
        (
            r#"[{"role":"user","content":[{"type":"text","text":"AKIA1234"}]}]"#,
            key,
        ),
        (
            r#"[{"content":[{"type":"tool_result","tool_use_id":"x","content":[{"text":"AKIA1234"}]}]}]"#,
            key,
        ),
        (r#"[{"content":["AK","IA1234"]}]"#, nothing),
        (r#"[{"AKIA1234":"x"}]"#, nothing),
        (r#"[{"type":"AKIA1234"}]"#, key),
        (r#"[{"type":["AKIA1234"]}]"#, key),
        (r#"[{"id":"AKIA1234"}]"#, key),
        (r#"[{"cache_control":{"ttl":"AKIA1234"}}]"#, key),
        (
            r#"[{"source":{"type":"url","url":"https://a/?key=AKIA1234"}}]"#,
            key,
        ),
        (r#"[{"source":{"type":"base64","data":"AKIA1234"}}]"#, key),
        (
            r#"[{"source":{"type":"base64","data":{"data":"AKIA1234"}}}]"#,
            key,
        ),
        (r#"[{"signature":"AKIA1234"}]"#, key),
        (
            r#"[{"source":{"type":"text","media_type":"text/plain","data":"AKIA1234"}}]"#,
            key,
        ),
        (r#"[{"source":{"data":"AKIA1234","type":"text"}}]"#, key),
        (r#"[{"type":"tool_use","input":{"url":"AKIA1234"}}]"#, key),
        (
            r#"[{"type":"tool_use","input":{"a":[{"data":"AKIA1234"}]}}]"#,
            key,
        ),
        (r#"[{"thinking":"AKIA1234"}]"#, key),
        ("[1,-1,1.5,true,null,{}]", nothing),
        ("[", Some("unreadable")),
        ("", Some("unreadable")),
    ] {
        assert_eq!(name(secrets().find([json])).as_deref(), expected, "{json}");
    }
}

#[test]
fn what_was_encoded_is_passed_over_where_it_is_long_and_nothing_else() {
    let long = format!("AKIA1234{}", "A".repeat(248));
    let short = format!("AKIA1234{}", "A".repeat(247));
    for (json, expected) in [
        (
            format!(r#"{{"source":{{"type":"base64","data":"{long}"}}}}"#),
            false,
        ),
        (
            format!(r#"{{"source":{{"data":"{long}","type":"base64"}}}}"#),
            false,
        ),
        (
            format!(r#"{{"type":"thinking","signature":"{long}"}}"#),
            false,
        ),
        (format!(r#"{{"encrypted_content":"{long}"}}"#), false),
        (format!(r#"{{"data":"{short}"}}"#), true),
        (format!(r#"{{"data":"{long} "}}"#), true),
        (format!(r#"{{"data":["{long}"]}}"#), true),
        (
            format!(r#"{{"source":{{"type":"text","data":"{long}"}}}}"#),
            true,
        ),
        (
            format!(r#"{{"source":{{"data":"{long}","type":"text"}}}}"#),
            true,
        ),
        (
            format!(r#"{{"source":{{"type":"\u0074ext","data":"{long}"}}}}"#),
            true,
        ),
        (
            format!(r#"{{"type":"tool_use","input":{{"data":"{long}"}}}}"#),
            true,
        ),
        (format!(r#"{{"text":"{long}"}}"#), true),
    ] {
        assert_eq!(
            secrets().find([json.as_str()]).is_some(),
            expected,
            "{json}"
        );
    }
}

#[test]
fn what_is_nested_too_deeply_is_not_passed_over() {
    for (open, close) in [
        ("[", "]"),
        (r#"{"type":"#, "}"),
        (r#"{"data":"#, "}"),
        (r#"{"data":{"type":"#, "}}"),
    ] {
        let deep = format!("{}\"x\"{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(secrets().find([deep.as_str()]), Some(Found::Unreadable));
    }
}

#[test]
fn of_several_values_each_is_searched() {
    let found = secrets().find([r#""harmless""#, r#"["AKIA1234"]"#]);
    assert_eq!(name(found).as_deref(), Some("aws-key"));
}

#[test]
fn the_search_ends_after_so_many_bytes_in_all() {
    for (most, texts, expected) in [
        (12, json!(["four", "AKIA1234"]), true),
        (11, json!(["four", "AKIA1234"]), false),
        (12, json!(["fours", "AKIA1234"]), false),
        (8, json!(["AKIA1234 and more"]), true),
        (9, json!(["ääAKIA1234"]), false),
        (3, json!(["ää"]), false),
    ] {
        let rules = json!({"blocked_patterns": [{"name": "k", "pattern": "AKIA1234"}], "max_scan_bytes": most});
        let found = patterns(&rules).unwrap().find([texts.to_string().as_str()]);
        assert_eq!(found.is_some(), expected, "{most} {texts}");
    }
}

#[test]
fn once_the_search_is_over_nothing_more_is_looked_at() {
    let rules =
        json!({"blocked_patterns": [{"name": "empty", "pattern": "^$"}], "max_scan_bytes": 4});
    let found = patterns(&rules)
        .unwrap()
        .find([r#""four""#, r#"["more", ""]"#]);
    assert_eq!(found, None);
}

#[test]
fn without_patterns_there_is_nothing_to_search_for() {
    for rules in [
        json!({}),
        json!({"blocked_patterns": []}),
        json!({"max_scan_bytes": 5}),
    ] {
        assert!(patterns(&rules).is_none(), "{rules}");
    }
}

#[test]
fn every_fault_is_named() {
    let rules = json!({"blocked_patterns": [
        {"name": "", "pattern": "("},
        {"pattern": "(?=x)", "flags": "i"},
        {"name": "large", "pattern": "\\w{1000}"},
        "x",
    ], "max_scan_bytes": 33_554_433});
    let read = |faults: &mut Faults| {
        Patterns::read(&mut Reader::new(&Item::new("$", &rules), faults));
    };
    assert_eq!(
        faults_of(read),
        [
            "$.blocked_patterns[0].name: must be a string that isn't empty",
            "$.blocked_patterns[0].pattern: is no pattern: unclosed group",
            "$.blocked_patterns[1].name: is missing",
            "$.blocked_patterns[1].pattern: is no pattern: look-around, including look-ahead and look-behind, is not supported",
            "$.blocked_patterns[1].flags: is unknown; there are name, pattern",
            "$.blocked_patterns[2].pattern: is too large a pattern",
            "$.blocked_patterns[3]: must be an object",
            "$.max_scan_bytes: must be a whole number from 1 to 33554432",
        ]
    );
}

#[test]
fn there_are_only_so_many_patterns() {
    let pattern = json!({"name": "a", "pattern": "a"});
    let rules = json!({"blocked_patterns": vec![pattern; 101]});
    let faults = faults_of(|faults| {
        Patterns::read(&mut Reader::new(&Item::new("$", &rules), faults));
    });
    assert_eq!(
        faults,
        ["$.blocked_patterns: must have no more than 100 patterns"]
    );
}

proptest! {
    #[test]
    fn no_body_is_too_strange(body in any_body(), most in 1_u64..64) {
        let rules = json!({"blocked_patterns": [{"name": "x", "pattern": "x+"}], "max_scan_bytes": most});
        let found = patterns(&rules).unwrap().find([body.as_str()]);
        prop_assert_ne!(found, Some(Found::Unreadable));
    }
}
