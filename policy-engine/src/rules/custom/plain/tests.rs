use cel::Program;
use domain::Endpoint;
use proptest::prelude::*;
use serde_json::json;

use super::super::{CustomRule, inspect, is_false};
use super::*;
use crate::rules::Faults;
use crate::rules::testing::ask;

/// What an expression comes to, once each way. It has to be one that does without the interpreter.
fn both_ways(expression: &str, body: &str) -> (bool, bool) {
    let program = Program::compile(expression).unwrap();
    let variables = inspect::inspect(program.expression()).unwrap();
    let plain = Plain::of(&program.expression().expr);
    let plain = plain.unwrap_or_else(|| panic!("{expression} needs the interpreter"));
    let mut came_to = None;
    ask(Endpoint::Messages, body, |ctx| {
        let itself = plain.is_true(ctx) == Ok(false);
        came_to = Some((itself, is_false(&program, &variables, ctx)));
        None
    });
    came_to.unwrap()
}

fn is_plain(expression: &str) -> bool {
    let program = Program::compile(expression).unwrap();
    Plain::of(&program.expression().expr).is_some()
}

#[test]
fn what_compares_and_combines_is_plain() {
    for expression in [
        "true",
        "request.stream",
        "!(request.stream && !request.stream) || false",
        "request.max_tokens > 32000 && !(user.role in ['owner', 'admin'])",
        "request.bytes <= request.max_tokens",
        "-1 != time.hour",
        "'a' == 'a'",
        "time.weekday in [6, 7]",
        "key.id in []",
        "request.model.contains('opus') || 'claude-opus'.startsWith(request.model)",
        "organization.slug.endsWith(project.slug)",
        "(request.speed == 'fast')",
    ] {
        assert!(is_plain(expression), "{expression}");
    }
}

#[test]
fn what_could_fail_is_the_interpreters() {
    for expression in [
        "request.max_tokens",
        "request.model",
        "!request.model",
        "request.stream == true",
        "request.max_tokens == '5'",
        "request.max_tokens > 5u",
        "request.max_tokens > 1.5",
        "request.max_tokens + 1 > 5",
        "-request.max_tokens < 5",
        "request.model < 'x'",
        "request.model && request.stream",
        "request.tools == []",
        "request.metadata.team == 'x'",
        "'x' in request.tools",
        "request.model in [request.speed]",
        "request.max_tokens in [1, 'x']",
        "request.stream in [true]",
        "has(request.stream)",
        ".request.stream",
        "request.stream ? true : false",
        "size(request.model) > 5",
        "request.tools.all(request, request == 'x')",
        "startsWith(request.model, 'x')",
        "b'x' == b'x'",
        "null == null",
    ] {
        assert!(!is_plain(expression), "{expression}");
    }
}

#[test]
fn a_variable_that_cant_be_seen_fails_it_wherever_it_stands() {
    let body = r#"{"speed":5}"#;
    for expression in [
        "request.stream && request.speed == 'x'",
        "request.speed == 'x' && request.stream",
        "!request.stream || request.speed == 'x'",
        "request.speed in ['x']",
        "'x'.contains(request.speed)",
    ] {
        let rules = json!({"expression": format!("!({expression})")});
        let rule = CustomRule::parse(&rules, &mut Faults::new());
        let objection = ask(Endpoint::Messages, body, |ctx| rule.check(ctx));
        assert!(objection.is_some(), "{expression}");
        assert_eq!(both_ways(expression, body), (false, false), "{expression}");
    }
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "request.model",
            "request.endpoint",
            "request.inference_geo",
            "request.service_tier",
            "request.speed",
            "key.id",
            "user.id",
            "user.role",
            "project.slug",
            "organization.slug",
            "client.ip",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "",
            "claude-opus-4",
            "opus",
            "us",
            "member",
            "straße",
            "e"
        ])
        .prop_map(quoted),
    ]
}

fn int() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "request.max_tokens",
            "request.bytes",
            "time.hour",
            "time.weekday",
            "time.unix",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![i64::MIN, -1, 0, 3, 10, 40_000, i64::MAX])
            .prop_map(|int| int.to_string()),
    ]
}

fn list(of: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let entries = of.prop_filter("a literal", |it| {
        it.starts_with(['\'', '-']) || it.starts_with(|first: char| first.is_ascii_digit())
    });
    prop::collection::vec(entries, 0..3).prop_map(|entries| format!("[{}]", entries.join(", ")))
}

fn comparison() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let equality = prop::sample::select(vec!["==", "!="]);
    let method = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
    prop_oneof![
        prop::sample::select(vec!["true", "false", "request.stream"]).prop_map(str::to_owned),
        (int(), order, int()).prop_map(|(left, op, right)| format!("{left} {op} {right}")),
        (text(), equality, text()).prop_map(|(left, op, right)| format!("{left} {op} {right}")),
        (text(), method, text()).prop_map(|(text, it, part)| format!("{text}.{it}({part})")),
        (int(), list(int())).prop_map(|(int, list)| format!("{int} in {list}")),
        (text(), list(text())).prop_map(|(text, list)| format!("{text} in {list}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| format!("!({it})")),
            (inner.clone(), inner.clone())
                .prop_map(|(left, right)| format!("({left}) && ({right})")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("({left}) || ({right})")),
        ]
    })
}

proptest! {
    #[test]
    fn it_comes_to_what_the_interpreter_makes_of_it(expression in expression(), body in prop::sample::select(vec![
        r#"{"model":"claude-opus-4","max_tokens":40000,"stream":true,"inference_geo":"us","speed":"stra\u00dfe"}"#,
        r#"{"model":"opus","max_tokens":3,"speed":5}"#,
        r#"{"max_tokens":99999999999999999999,"service_tier":[]}"#,
        "{}",
        "",
    ])) {
        let (itself, interpreted) = both_ways(&expression, body);
        prop_assert_eq!(itself, interpreted);
    }
}
