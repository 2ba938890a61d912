use domain::Endpoint;
use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{any_body, any_json, ask, faults_of};
use super::*;

fn refusal(rules: &Value, endpoint: Endpoint, body: &str) -> Option<String> {
    let mut faults = Faults::new();
    let rule = ComplianceRule::parse(rules, &mut faults);
    assert_eq!(faults, [], "{rules}");
    ask(endpoint, body, |ctx| rule.check(ctx)).map(|objection| objection.message)
}

#[test]
fn each_rule_objects_to_what_it_is_about() {
    let user = json!({"required_metadata": ["user_id", "team"]});
    let user_missing = Some("metadata.user_id is required");
    let team_missing = Some("metadata.team is required");
    let fields = json!({"forbidden_fields": ["container", "metadata.user_id", "a.b.c"]});
    let us = json!({"inference_geo": ["us"]});
    let us_or_none = json!({"inference_geo": ["us", null]});
    for (rules, body, expected) in [
        (&json!({}), r#"{"model":"x"}"#, None),
        (&user, r#"{"metadata":{"user_id":"u","team":"t"}}"#, None),
        (&user, r#"{"metadata":{"user_id":"u","team":5}}"#, None),
        (&user, r#"{"metadata":{"user_id":"u"}}"#, team_missing),
        (
            &user,
            r#"{"metadata":{"user_id":"u","team":"t","team":""}}"#,
            team_missing,
        ),
        (
            &user,
            r#"{"metadata":{"user_id":null,"team":"t"}}"#,
            user_missing,
        ),
        (&user, r#"{"metadata":"user_id"}"#, user_missing),
        (&user, r#"{"metadata":null}"#, user_missing),
        (&user, r#"{"model":"x"}"#, user_missing),
        (&user, "", None),
        (
            &fields,
            r#"{"container":"c"}"#,
            Some("the field container is forbidden"),
        ),
        (&fields, r#"{"container":null}"#, None),
        (&fields, r#"{"container":"c","container":null}"#, None),
        (
            &fields,
            r#"{"metadata":{"user_id":"secret"}}"#,
            Some("the field metadata.user_id is forbidden"),
        ),
        (
            &fields,
            r#"{"metadata":{"user_id":"u","user_id":null}}"#,
            None,
        ),
        (&fields, r#"{"metadata":[{"user_id":"u"}]}"#, None),
        (
            &fields,
            r#"{"a":{"b":{"c":false}}}"#,
            Some("the field a.b.c is forbidden"),
        ),
        (&fields, r#"{"a":{"b":"c"}}"#, None),
        (&us, r#"{"inference_geo":"us"}"#, None),
        (
            &us,
            r#"{"inference_geo":"eu"}"#,
            Some("inference_geo eu is not among those allowed"),
        ),
        (
            &us,
            r#"{"inference_geo":["us"]}"#,
            Some("inference_geo must be a string"),
        ),
        (&us, r#"{"model":"x"}"#, Some("inference_geo is required")),
        (
            &us,
            r#"{"inference_geo":null}"#,
            Some("inference_geo is required"),
        ),
        (&us, "", None),
        (&us_or_none, r#"{"model":"x"}"#, None),
        (
            &us_or_none,
            r#"{"inference_geo":"eu"}"#,
            Some("inference_geo eu is not among those allowed"),
        ),
    ] {
        let refusal = refusal(rules, Endpoint::Messages, body);
        assert_eq!(refusal.as_deref(), expected, "{rules} {body}");
    }
}

#[test]
fn what_a_body_cannot_have_it_need_not_have() {
    let rules = json!({"required_metadata": ["user_id"], "inference_geo": ["us"]});
    let body = r#"{"model":"x"}"#;
    for endpoint in [Endpoint::CountTokens, Endpoint::Batches, Endpoint::Files] {
        assert_eq!(refusal(&rules, endpoint, body), None, "{endpoint:?}");
    }
    let elsewhere = refusal(&rules, Endpoint::CountTokens, r#"{"inference_geo":"eu"}"#);
    assert!(elsewhere.is_some());
}

#[test]
fn a_pattern_is_told_by_its_name_and_never_by_the_text() {
    let rules = json!({"blocked_patterns": [{"name": "aws-key", "pattern": "AKIA[0-9A-Z]{4}"}]});
    let matches = Some("a text of the request matches the pattern aws-key");
    for (body, expected) in [
        (r#"{"system":"AKIA1234"}"#, matches),
        (r#"{"system":[{"type":"text","text":"AKIA1234"}]}"#, matches),
        (
            r#"{"messages":[{"role":"user","content":"AKIA1234"}]}"#,
            matches,
        ),
        (r#"{"tools":[{"description":"AKIA1234"}]}"#, None),
        (r#"{"metadata":{"user_id":"AKIA1234"}}"#, None),
        (r#"{"messages":[{"role":"user","content":"hello"}]}"#, None),
        (r#"{"prompt":"Human: AKIA1234"}"#, matches),
        (r#"{"events":[{"content":[{"text":"AKIA1234"}]}]}"#, matches),
        ("", None),
    ] {
        let refusal = refusal(&rules, Endpoint::Messages, body);
        assert_eq!(refusal.as_deref(), expected, "{body}");
    }
}

#[test]
fn every_fault_is_named() {
    let rules = json!({"action": "hard_limit", "required_metadata": "user_id", "forbidden_fields": ["a..b", 1],
        "inference_geo": ["us", 1, ""], "blocked_patterns": [{}], "max_scan_bytes": 0, "blocked_words": []});
    let faults = faults_of(|faults| ComplianceRule::parse(&rules, faults));
    insta::assert_snapshot!(faults.join("\n"));
}

proptest! {
    #[test]
    fn no_policy_and_no_body_is_too_strange(rules in any_json(), body in any_body()) {
        let rule = ComplianceRule::parse(&rules, &mut Faults::new());
        ask(Endpoint::Messages, &body, |ctx| rule.check(ctx));
    }

    #[test]
    fn no_body_is_too_strange(body in any_body()) {
        let rules = json!({"required_metadata": ["type"], "forbidden_fields": ["tools.name", "metadata.text"],
            "inference_geo": [null], "blocked_patterns": [{"name": "x", "pattern": "x+"}]});
        let rule = ComplianceRule::parse(&rules, &mut Faults::new());
        ask(Endpoint::Messages, &body, |ctx| rule.check(ctx));
    }
}
