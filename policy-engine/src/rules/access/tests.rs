mod mcp;

use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{any_body, any_json, ask, faults_of};
use super::*;

fn objection(rules: &Value, endpoint: Endpoint, body: &str) -> Option<Objection> {
    let mut faults = Faults::new();
    let rule = AccessRule::parse(rules, &mut faults);
    assert_eq!(faults, [], "{rules}");
    ask(endpoint, body, |ctx| rule.check(ctx))
}

fn check(rules: &Value, body: &str, expected: Option<(Reason, &str)>) {
    let objection = objection(rules, Endpoint::Messages, body);
    let answer = objection
        .as_ref()
        .map(|it| (it.reason, it.message.as_str()));
    assert_eq!(answer, expected, "{rules} {body}");
}

#[test]
fn models_are_held_to_both_lists_wherever_a_request_names_them() {
    let haiku = json!({"allowed_models": ["haiku"]});
    let no_opus = json!({"denied_models": ["opus"]});
    let other = Some((
        Reason::ModelNotAllowed,
        "the model claude-opus-4 is not among those allowed",
    ));
    let denied = Some((Reason::ModelNotAllowed, "the model claude-opus-4 is denied"));
    let choice = Some((
        Reason::ModelNotAllowed,
        "the fallback default leaves the choice of a model to the API, and not every model is allowed",
    ));
    let unreadable = Some((
        Reason::PolicyDenied,
        "the fallbacks of the request can't be read",
    ));
    for (rules, body, expected) in [
        (&haiku, r#"{"model":"claude-haiku-4-5"}"#, None),
        (&haiku, r#"{"model":"claude-opus-4"}"#, other),
        (&haiku, r#"{"max_tokens":5}"#, None),
        (&haiku, "", None),
        (&no_opus, r#"{"model":"claude-haiku-4-5"}"#, None),
        (&no_opus, r#"{"model":"claude-opus-4"}"#, denied),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":["claude-haiku-4","claude-opus-4"]}"#,
            other,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":[{"model":"claude-opus-4"}]}"#,
            other,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":[{"max_tokens":1},"default"]}"#,
            choice,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":"\u0064efault"}"#,
            choice,
        ),
        (
            &no_opus,
            r#"{"model":"claude-haiku-4-5","fallbacks":[{"model":"default"}]}"#,
            choice,
        ),
        (
            &json!({"allowed_models": ["*"], "denied_models": []}),
            r#"{"model":"claude-haiku-4-5","fallbacks":"default"}"#,
            None,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":null}"#,
            None,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":"claude-opus-4"}"#,
            unreadable,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","fallbacks":[5]}"#,
            unreadable,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","tools":[{"name":"advisor","model":"claude-opus-4"}]}"#,
            other,
        ),
        (&haiku, r#"{"fallbacks":["claude-opus-4"]}"#, other),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","tools":[{"\u006dodel":"claude-opus-4"}]}"#,
            other,
        ),
        (
            &haiku,
            r#"{"model":"claude-haiku-4-5","tools":[{"name":"Bash"}]}"#,
            None,
        ),
        (
            &json!({"allowed_models": ["opus"], "denied_models": ["opus"]}),
            r#"{"model":"claude-opus-4"}"#,
            denied,
        ),
        (
            &json!({"allowed_models": []}),
            r#"{"model":"claude-opus-4"}"#,
            other,
        ),
        (
            &json!({"allowed_models": null}),
            r#"{"model":"claude-opus-4"}"#,
            None,
        ),
    ] {
        check(rules, body, expected);
    }
}

#[test]
fn a_project_allows_models_in_settings_that_hold_other_things() {
    for (settings, expected) in [
        (json!(null), false),
        (json!({"theme": "dark"}), false),
        (json!({"allowed_models": null}), false),
        (json!({"allowed_models": ["opus"]}), false),
        (json!({"allowed_models": ["haiku", "*"]}), false),
        (json!({"allowed_models": ["haiku"], "theme": "dark"}), true),
    ] {
        let mut faults = Faults::new();
        let rule = AccessRule::of_project(&settings, &mut faults);
        let body = r#"{"model":"claude-opus-4"}"#;
        let objection = ask(Endpoint::Messages, body, |ctx| rule?.check(ctx));
        assert_eq!(
            (objection.is_some(), faults),
            (expected, vec![]),
            "{settings}"
        );
    }
    let settings = json!({"allowed_models": "haiku"});
    let faults = faults_of(|faults| AccessRule::of_project(&settings, faults));
    assert_eq!(faults, ["$.settings.allowed_models: must be a list"]);
}

#[test]
fn every_request_is_held_to_endpoints_betas_addresses_and_hours() {
    let denied = |message| Some((Reason::PolicyDenied, message));
    let address = |message| Some((Reason::IpNotAllowed, message));
    let endpoint = |message| Some((Reason::EndpointNotAllowed, message));
    for (rules, expected) in [
        (json!({}), None),
        (json!({"allowed_endpoints": ["messages", "models"]}), None),
        (
            json!({"allowed_endpoints": ["files"]}),
            endpoint("the endpoint messages is not among those allowed"),
        ),
        (
            json!({"denied_endpoints": ["messages"]}),
            endpoint("the endpoint messages is denied"),
        ),
        (json!({"denied_endpoints": ["files"]}), None),
        (json!({"allowed_betas": ["context-*"]}), None),
        (
            json!({"allowed_betas": ["fast-*"]}),
            denied("the beta context-1m-2025-08-07 is not among those allowed"),
        ),
        (
            json!({"denied_betas": ["*1m*"]}),
            denied("the beta context-1m-2025-08-07 is denied"),
        ),
        (json!({"allowed_ips": ["192.0.2.0/24"]}), None),
        (json!({"allowed_ips": ["192.0.2.7"]}), None),
        (json!({"allowed_ips": ["::ffff:192.0.2.7"]}), None),
        (
            json!({"allowed_ips": ["10.0.0.0/8", "2001:db8::/32"]}),
            address("the address 192.0.2.7 is not among those allowed"),
        ),
        (
            json!({"denied_ips": ["0.0.0.0/0"]}),
            address("the address 192.0.2.7 is denied"),
        ),
        (json!({"denied_ips": ["::/0"]}), None),
        (
            json!({"allowed_hours": [{"days": ["wed"], "from": "10:00", "to": "11:00"}]}),
            None,
        ),
        (
            json!({"allowed_hours": [{"from": "11:00", "to": "12:00"}]}),
            denied("requests are allowed at other hours only"),
        ),
    ] {
        check(&rules, "", expected);
        check(&rules, r#"{"model":"claude-opus-4"}"#, expected);
    }
}

#[test]
fn an_ipv4_address_is_one_however_it_came() {
    let rule = AccessRule::parse(&json!({"denied_ips": ["192.0.2.0/24"]}), &mut Faults::new());
    let objection = ask(Endpoint::Models, "", |ctx| {
        let caller = crate::facts::Caller {
            address: "::ffff:192.0.2.9".parse().unwrap(),
            ..*ctx.caller
        };
        rule.check(&Context {
            caller: &caller,
            tools: Default::default(),
            named: Default::default(),
            expressions: Default::default(),
            ..*ctx
        })
    });
    assert_eq!(
        objection.unwrap().message,
        "the address 192.0.2.9 is denied"
    );
}

#[test]
fn answers_may_be_asked_for_up_to_so_many_tokens() {
    let rules = json!({"max_tokens": 100});
    let message = "max_tokens of 101 is above the 100 allowed";
    for (body, expected) in [
        (r#"{"max_tokens":100}"#, None),
        (
            r#"{"max_tokens":101}"#,
            Some((Reason::PolicyDenied, message)),
        ),
        (r#"{"model":"claude-opus-4"}"#, None),
        ("", None),
    ] {
        check(&rules, body, expected);
    }
}

#[test]
fn every_fault_is_named() {
    let rules = json!({"action": "hard_limit", "allowed_models": "opus", "denied_models": [""], "allowed_endpoints": ["message"],
        "denied_endpoints": [7], "max_tokens": -1, "allowed_betas": ["["], "denied_betas": {}, "allowed_mcp_servers": [null],
        "blocked_mcp_servers": true, "allowed_mcp_tools": ["{"], "blocked_mcp_tools": 1, "allowed_ips": ["10.0.0.0/33", "localhost"],
        "denied_ips": [4], "allowed_hours": [{"from": "8"}], "blocked_models": []});
    let faults = faults_of(|faults| AccessRule::parse(&rules, faults));
    insta::assert_snapshot!(faults.join("\n"));
}

proptest! {
    #[test]
    fn no_policy_and_no_body_is_too_strange(rules in any_json(), body in any_body()) {
        let rule = AccessRule::parse(&rules, &mut Faults::new());
        ask(Endpoint::Messages, &body, |ctx| rule.check(ctx));
    }

    #[test]
    fn no_body_is_too_strange(body in any_body()) {
        let rules = json!({"allowed_models": ["opus"], "blocked_mcp_tools": ["a/*", "b"], "allowed_mcp_servers": ["a"]});
        let rule = AccessRule::parse(&rules, &mut Faults::new());
        ask(Endpoint::Messages, &body, |ctx| rule.check(ctx));
    }
}
