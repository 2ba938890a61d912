use domain::Endpoint;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::testing::{any_body, any_json, ask};
use super::*;
use crate::source::PolicyStatus;

fn source(kind: &str, rules: Value, applies_to: Value) -> PolicySource {
    PolicySource {
        id: PolicyId(Uuid::from_u128(9)),
        name: "team rules".to_owned(),
        kind: kind.to_owned(),
        rules,
        applies_to,
        priority: 100,
        status: PolicyStatus::Active,
        created_unix_micros: 0,
    }
}

#[test]
fn each_type_has_its_rules_and_each_action_its_effect() {
    let expression = "request.model == 'claude-opus-4'";
    for (kind, rules, expected) in [
        ("usage", json!({"max_tokens_per_day": 1}), None),
        (
            "access",
            json!({"denied_models": ["opus"]}),
            Some(Action::Block),
        ),
        (
            "access",
            json!({"denied_models": ["opus"], "action": "block"}),
            Some(Action::Block),
        ),
        (
            "access",
            json!({"denied_models": ["opus"], "action": "warn"}),
            Some(Action::Warn),
        ),
        (
            "access",
            json!({"denied_models": ["opus"], "action": "log"}),
            Some(Action::Log),
        ),
        ("access", json!({"denied_models": ["haiku"]}), None),
        (
            "compliance",
            json!({"forbidden_fields": ["model"], "action": "warn"}),
            Some(Action::Warn),
        ),
        (
            "custom",
            json!({"expression": expression, "action": "log"}),
            Some(Action::Log),
        ),
    ] {
        let policy =
            Policy::parse(&source(kind, rules.clone(), json!(null)), Owner::Project).unwrap();
        assert_eq!(policy.name.as_ref(), "team rules");
        let mut action = None;
        ask(Endpoint::Messages, r#"{"model":"claude-opus-4"}"#, |ctx| {
            let (taken, objection) = policy.rule.check(ctx)?;
            action = Some(taken);
            Some(objection)
        });
        assert_eq!(action, expected, "{kind} {rules}");
    }
}

#[test]
fn faults_of_all_parts_are_answered_together() {
    let rules = json!({"max_tokens": "many"});
    let faults = Policy::parse(
        &source("access", rules, json!({"users": 1})),
        Owner::Project,
    );
    let paths: Vec<_> = faults
        .unwrap_err()
        .into_iter()
        .map(|fault| fault.path)
        .collect();
    assert_eq!(paths, ["$.rules.max_tokens", "$.applies_to.users"]);

    let faults = Policy::parse(&source("rate", json!({}), json!([])), Owner::Project);
    let faults: Vec<_> = faults
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        faults,
        [
            "$.type: must be usage, access, compliance or custom",
            "$.applies_to: must be an object",
        ]
    );
}

proptest! {
    #[test]
    fn no_policy_and_no_body_is_too_strange(
        kind in prop::sample::select(vec!["usage", "access", "compliance", "custom"]),
        rules in any_json(), applies_to in any_json(), body in any_body(),
    ) {
        if let Ok(policy) = Policy::parse(&source(kind, rules, applies_to), Owner::Organization) {
            ask(Endpoint::Messages, &body, |ctx| policy.rule.check(ctx).map(|(_, objection)| objection));
        }
    }
}
