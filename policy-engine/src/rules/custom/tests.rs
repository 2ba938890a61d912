use domain::Endpoint;
use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{any_body, ask, faults_of};
use super::*;

const BODY: &str = r#"{"model":"claude-opus-4","max_tokens":40000,"stream":true,"inference_geo":"us","speed":"fast",
    "tools":[{"name":"Bash"},{"name":"mcp__github__get"}],"mcp_servers":[{"name":"jira"}],
    "metadata":{"user_id":"u-1","level":3}}"#;

fn takes_action(expression: &str, body: &str) -> bool {
    let rules = json!({"expression": expression});
    let mut faults = Faults::new();
    let rule = CustomRule::parse(&rules, &mut faults);
    assert_eq!(faults, [], "{expression}");
    ask(Endpoint::Messages, body, |ctx| rule.check(ctx)).is_some()
}

fn faults(expression: &str) -> Vec<String> {
    faults_of(|faults| CustomRule::parse(&json!({"expression": expression}), faults))
}

#[test]
fn every_variable_has_its_value() {
    for expression in [
        "request.model == 'claude-opus-4' && request.endpoint == 'messages'",
        "request.max_tokens == 40000 && request.stream && request.bytes > 100",
        "request.betas == ['context-1m-2025-08-07']",
        "request.tools == ['Bash', 'mcp__github__get']",
        "request.mcp_servers == ['github', 'jira']",
        "request.metadata.user_id == 'u-1' && request.metadata['level'] == '3'",
        "has(request.metadata.user_id) && !has(request.metadata.team)",
        "request.inference_geo == 'us' && request.service_tier == '' && request.speed == 'fast'",
        "key.id == '00000000-0000-0000-0000-000000000001'",
        "user.id == '00000000-0000-0000-0000-000000000002' && user.role == 'member'",
        "project.id == '00000000-0000-0000-0000-000000000003' && project.slug == 'website'",
        "organization.id == '00000000-0000-0000-0000-000000000004' && organization.slug == 'acme'",
        "client.ip == '192.0.2.7'",
        "time.hour == 10 && time.weekday == 3 && time.unix == 1795602600",
    ] {
        assert!(takes_action(expression, BODY), "{expression}");
        assert!(
            !takes_action(&format!("!({expression})"), BODY),
            "{expression}"
        );
    }
}

#[test]
fn the_language_is_there() {
    for (expression, expected) in [
        (
            "request.max_tokens > 32000 && !(user.role in ['owner', 'admin'])",
            true,
        ),
        ("request.tools.exists(tool, tool.startsWith('mcp__'))", true),
        ("request.tools.all(tool, tool.startsWith('mcp__'))", false),
        (
            "request.tools.exists_one(tool, tool.contains('Bash'))",
            true,
        ),
        (
            "size(request.tools.filter(tool, tool.endsWith('get'))) == 1",
            true,
        ),
        ("request.tools.map(tool, size(tool)) == [4, 16]", true),
        (
            "request.tools.filter(t, t != 'Bash') == ['mcp__github__get']",
            true,
        ),
        ("request.tools.exists(request, request == 'Bash')", true),
        ("request.metadata.exists(name, name == 'level')", true),
        (
            "request.model.contains('opus') ? time.hour > 20 : false",
            false,
        ),
        (
            "int('5') == 5 && string(5) == '5' && double(1) == 1.0 && uint(5) == 5u && bool('true')",
            true,
        ),
        (
            "type(request.model) == string && size(bytes('abc')) == 3 && dyn(1) == 1",
            true,
        ),
        (
            "{'a': 1}.a + [1, 2][1] == 3 && -time.hour < 0 && 7 % 2 == 1",
            true,
        ),
    ] {
        assert_eq!(takes_action(expression, BODY), expected, "{expression}");
    }
}

#[test]
fn signs_of_any_number_do_no_harm() {
    for (sign, last) in [("!", "true"), ("- ", "1"), ("!-", "1")] {
        let count = (4_096 - last.len()) / sign.len();
        let rules = json!({"expression": format!("{}{last}", sign.repeat(count))});
        let rule = CustomRule::parse(&rules, &mut Faults::new());
        ask(Endpoint::Messages, BODY, |ctx| rule.check(ctx));
    }
}

#[test]
fn a_request_without_a_body_has_empty_values() {
    let expression = "request.model == '' && request.max_tokens == 0 && !request.stream && request.tools == [] \
        && request.mcp_servers == [] && size(request.metadata) == 0 && request.speed == '' && request.bytes == 0";
    assert!(takes_action(expression, ""));
}

#[test]
fn one_that_fails_takes_its_action() {
    for (expression, body) in [
        ("1 / 0 == 1", BODY),
        ("request.model", BODY),
        ("request.max_tokens", BODY),
        ("request.metadata.team == 'a'", BODY),
        ("request.model > 5", BODY),
        ("request.tools[7] == 'x'", BODY),
        ("9223372036854775807 + request.max_tokens == 0", BODY),
        ("request.metadata.user_id == 'x'", r#"{"metadata":[]}"#),
        ("request.tools == []", r#"{"tools":{}}"#),
        ("request.speed == 'x'", r#"{"speed":5}"#),
    ] {
        assert!(takes_action(expression, body), "{expression} {body}");
    }
}

#[test]
fn what_is_too_long_to_be_looked_at_takes_the_action() {
    let tools = |count: usize, name: &str| {
        let tool = json!({"name": name}).to_string();
        format!(r#"{{"tools":[{}]}}"#, vec![tool; count].join(","))
    };
    let geo = |length: usize| json!({"inference_geo": "x".repeat(length)}).to_string();
    let none = "request.tools == ['none']";
    let nowhere = "request.inference_geo == ''";
    for (expression, body, expected) in [
        (none, tools(1_000, "x"), false),
        (none, tools(1_001, "x"), true),
        (none, tools(1, &"x".repeat(256)), false),
        (none, tools(1, &"x".repeat(257)), true),
        (nowhere, geo(256), false),
        (nowhere, geo(257), true),
    ] {
        assert_eq!(takes_action(expression, &body), expected, "{expression}");
    }
}

#[test]
fn the_message_is_what_the_caller_is_told() {
    for (rules, expected) in [
        (
            json!({"expression": "true", "message": "ask an admin"}),
            "ask an admin",
        ),
        (
            json!({"expression": "true"}),
            "a custom rule refuses the request",
        ),
    ] {
        let rule = CustomRule::parse(&rules, &mut Faults::new());
        let objection = ask(Endpoint::Messages, BODY, |ctx| rule.check(ctx));
        assert_eq!(objection, Some(Objection::denied(expected)));
    }
}

#[test]
fn every_fault_is_named() {
    let expressions = [
        "",
        "request.max_tokens >",
        "request.model == 'a' b",
        "'unclosed",
        "1 == 99999999999999999999",
        "request.modle == 'x' && request.tols == []",
        "request == request",
        "request['model'] == 'x'",
        "foo > 1 || bar.baz",
        "matches(request.model, 'x') || request.model.matches('x')",
        "timestamp('2026-01-01T00:00:00Z') == time.unix",
        "Point{x: 1}.x == 1",
        "[1].all(a, [2].exists(b, a == b))",
        "request.tools.map(t, [t, t]).map(t, [t, t]) == []",
        "request.betas.exists(beta, beta in request.tools)",
    ];
    let table: Vec<String> = expressions
        .iter()
        .map(|expression| format!("{expression}\n    {}", faults(expression).join("\n    ")))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn other_fields_have_their_faults_too() {
    let rules =
        json!({"action": "deny", "expression": 5, "message": "x".repeat(1_001), "when": "now"});
    assert_eq!(
        faults_of(|faults| CustomRule::parse(&rules, faults)),
        [
            "$.rules.action: must be block, warn or log",
            "$.rules.expression: must be a string that isn't empty",
            "$.rules.message: must have no more than 1000 bytes",
            "$.rules.when: is unknown; there are action, expression, message",
        ]
    );
    let missing = faults_of(|faults| CustomRule::parse(&json!({}), faults));
    assert_eq!(missing, ["$.rules.expression: is missing"]);
}

#[test]
fn what_would_be_too_much_work_is_a_fault() {
    let repeat = |part: &str, last: &str| {
        let count = (4_096 - last.len()) / part.len();
        format!("{}{last}", part.repeat(count))
    };
    let deep = "must be no more than 64 operations deep";
    let too_deep = "is nested too deeply to be parsed";
    for (expression, expected) in [
        (
            format!("'{}' == ''", "x".repeat(4_096)),
            "must have no more than 4096 bytes",
        ),
        (
            format!("{}1{}", "(".repeat(65), ")".repeat(65)),
            "must have no more than 64 brackets within each other",
        ),
        (repeat("1+", "1==1"), deep),
        (repeat("true?true:", "true"), too_deep),
        (repeat("-(1)-", "1"), deep),
        (repeat("request.metadata.", "x"), deep),
        (format!("request.tools{}", "[0]".repeat(100)), deep),
        (
            format!("[1].all(x, [{}] == [])", "x,".repeat(200) + "x"),
            "must have no more than 128 operations in macros",
        ),
        (
            format!("size(request.tools{}) == 0", " + request.tools".repeat(16)),
            "must mention lists of the request no more than 16 times",
        ),
    ] {
        let faults = faults(&expression);
        assert!(
            faults.iter().any(|fault| fault.ends_with(expected)),
            "{expression}: {faults:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Some of them look at what can't be seen of this body.
    #[test]
    fn expressions_of_one_request_are_as_if_alone(
        expressions in prop::collection::vec(prop::sample::select(TOGETHER.to_vec()), 1..8),
    ) {
        let body = r#"{"model":"claude-opus-4","stream":true,"speed":5,"metadata":[],"tools":[{"name":"Bash"}]}"#;
        let expected: Vec<_> = expressions.iter().map(|each| takes_action(each, body)).collect();
        let rules = expressions.iter().map(|each| json!({"expression": each}));
        let rules: Vec<_> = rules.map(|rules| CustomRule::parse(&rules, &mut Faults::new())).collect();
        ask(Endpoint::Messages, body, |ctx| {
            let together: Vec<_> = rules.iter().map(|rule| rule.check(ctx).is_some()).collect();
            assert_eq!(together, expected);
            None
        });
    }

    #[test]
    fn no_expression_is_too_strange(
        parts in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..24), body in any_body(),
    ) {
        let rules = json!({"expression": parts.join(" ")});
        let mut faults = Faults::new();
        let rule = CustomRule::parse(&rules, &mut faults);
        if faults.is_empty() {
            ask(Endpoint::Messages, &body, |ctx| rule.check(ctx));
        }
    }

    #[test]
    fn no_text_is_too_strange(text: String) {
        CustomRule::parse(&json!({"expression": text}), &mut Faults::new());
    }
}

const TOGETHER: &[&str] = &[
    "request.model == 'claude-opus-4'",
    "request.model == 'claude-opus-5'",
    "request.model == '' || request.stream",
    "request.stream && time.hour > 20",
    "request.speed == 'fast'",
    "request.stream || request.speed == 'fast'",
    "has(request.stream)",
    "request.metadata.team == 'x' || request.model == 'x'",
    "request.tools.exists(request, request == 'Bash')",
    "request.tools == ['Bash'] && user.role == 'member'",
    "user.role == 'owner'",
    "1 / 0 == 1",
    "false",
];

const PARTS: &[&str] = &[
    "request.model",
    "request.tools",
    "request.metadata",
    "time.hour",
    "'a'",
    "\"",
    "b'\\xff'",
    "1",
    "1.5",
    "2u",
    "true",
    "null",
    "==",
    "!=",
    "<",
    "in",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    ".x",
    ".size()",
    ".all(x,",
    ".map(x,",
    ".exists(x,",
    "has(",
    "size(",
    "x",
    "r'''",
    "\\",
    "`",
    "\u{e4}",
    "0x",
    "1e999",
    "-9223372036854775808",
];
