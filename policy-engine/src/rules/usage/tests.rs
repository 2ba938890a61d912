use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{any_json, faults_of};
use super::limits::{METRICS, name};
use super::*;
use crate::limit::Scope;

fn rule(rules: &Value, owner: Owner) -> UsageRule {
    let mut faults = Faults::new();
    let rule = UsageRule::parse(rules, owner, &mut faults);
    assert_eq!(faults, [], "{rules}");
    rule
}

fn limit(metric: Metric, window: Window, most: u64) -> Limit {
    Limit {
        metric,
        window,
        most,
    }
}

#[test]
fn every_limit_has_a_name() {
    for metric in METRICS {
        for window in Window::ALL {
            let rule = rule(&json!({ name(metric, window): 7 }), Owner::Project);
            let most = if metric == Metric::Cost {
                7_000_000_000_000
            } else {
                7
            };
            assert_eq!(rule.limits, [limit(metric, window, most)]);
        }
    }
    assert_eq!(
        name(Metric::InputTokens, Window::Week),
        "max_input_tokens_per_week"
    );
    assert_eq!(name(Metric::Cost, Window::Day), "max_cost_per_day_usd");
}

#[test]
fn what_is_not_said_has_its_default() {
    let (requests, owner) = (json!({"max_requests_per_minute": 60}), Owner::Project);
    let expected = UsageRule {
        limits: vec![limit(Metric::Requests, Window::Minute, 60)],
        per: Per {
            scope: Scope::Project,
            model: false,
        },
        action: UsageAction::HardLimit,
        warn_at_percent: None,
        allow_unpriced: false,
    };
    assert_eq!(rule(&requests, owner), expected);
    let scope = rule(&requests, Owner::Organization).per.scope;
    assert_eq!(scope, Scope::Organization);
}

#[test]
fn counters_are_kept_apart_as_per_says() {
    for (per, scope, model) in [
        (json!("key"), Scope::Key, false),
        (json!("user"), Scope::User, false),
        (json!("project"), Scope::Project, false),
        (json!("organization"), Scope::Organization, false),
        (json!(["key"]), Scope::Key, false),
        (json!(["key", "model"]), Scope::Key, true),
        (json!(["model", "organization"]), Scope::Organization, true),
    ] {
        let rules = json!({"max_tokens_per_day": 1, "per": per});
        assert_eq!(rule(&rules, Owner::Organization).per, Per { scope, model });
    }
}

#[test]
fn warnings_come_from_a_share_on() {
    for (rules, action, percent) in [
        (json!({}), UsageAction::HardLimit, None),
        (
            json!({"action": "hard_limit", "warn_at_percent": 50}),
            UsageAction::HardLimit,
            Some(50),
        ),
        (
            json!({"action": "soft_limit"}),
            UsageAction::SoftLimit,
            None,
        ),
        (json!({"action": "warn"}), UsageAction::Warn, Some(80)),
        (
            json!({"action": "warn", "warn_at_percent": 100}),
            UsageAction::Warn,
            Some(100),
        ),
        (json!({"action": "log"}), UsageAction::Log, None),
    ] {
        let mut with_limit = rules.clone();
        with_limit["max_tokens_per_day"] = json!(1);
        let rule = rule(&with_limit, Owner::Project);
        assert_eq!(
            (rule.action, rule.warn_at_percent),
            (action, percent),
            "{rules}"
        );
    }
}

#[test]
fn models_without_a_price_may_be_let_through() {
    let rules = json!({"max_cost_per_day_usd": "1", "allow_unpriced": true});
    assert!(rule(&rules, Owner::Project).allow_unpriced);
}

#[test]
fn every_fault_is_named() {
    let per = "must be key, user or project, or a list of one of them and model";
    for (rules, expected) in [
        (json!([]), vec!["$.rules: must be an object".to_owned()]),
        (
            json!({"action": "log", "max_tokens_per_day": null}),
            vec!["$.rules: must have a limit, such as max_tokens_per_day or max_cost_per_month_usd".to_owned()],
        ),
        (
            json!({"max_tokens_per_day": 1.5, "max_requests_per_minute": 1_000_000_001_u64, "max_cost_per_day_usd": "x",
                "per": "organization", "action": "block", "warn_at_percent": 0, "allow_unpriced": 1}),
            vec![
                "$.rules.max_tokens_per_day: must be a whole number from 0 to 1000000000000000".to_owned(),
                "$.rules.max_requests_per_minute: must be a whole number from 0 to 1000000000".to_owned(),
                "$.rules.max_cost_per_day_usd: must be dollars, a number or a string from 0 to 18446744.073709551615 \
                 with at most 12 digits behind the point".to_owned(),
                format!("$.rules.per: {per}"),
                "$.rules.action: must be hard_limit, soft_limit, warn or log".to_owned(),
                "$.rules.warn_at_percent: must be a whole number from 1 to 100".to_owned(),
                "$.rules.allow_unpriced: must be true or false".to_owned(),
            ],
        ),
        (json!({"max_tokens_per_day": 1, "per": []}), vec![format!("$.rules.per: {per}")]),
        (json!({"max_tokens_per_day": 1, "per": "model"}), vec![format!("$.rules.per: {per}")]),
        (json!({"max_tokens_per_day": 1, "per": ["model"]}), vec![format!("$.rules.per: {per}")]),
        (json!({"max_tokens_per_day": 1, "per": ["key", "model", "model"]}), vec![format!("$.rules.per: {per}")]),
        (json!({"max_tokens_per_day": 1, "per": ["key", "user"]}), vec![format!("$.rules.per: {per}")]),
        (json!({"max_tokens_per_day": 1, "per": 1}), vec!["$.rules.per: must be a list".to_owned()]),
    ] {
        let faults = faults_of(|faults| UsageRule::parse(&rules, Owner::Project, faults));
        assert_eq!(faults, expected, "{rules}");
    }
}

#[test]
fn an_unknown_field_is_told_those_there_are() {
    let rules = json!({"max_tokens_per_day": 1, "max_tokens_per_year": 1});
    let faults = faults_of(|faults| UsageRule::parse(&rules, Owner::Project, faults));
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn quotas_and_subscriptions_share_their_object_with_others() {
    let quotas = json!({"max_tokens_per_day": 5, "max_cost_per_day_usd": "1.5", "max_requests_per_minute": null,
        "max_tokens_per_month": 1, "theirs": {}});
    let rule = UsageRule::quotas(&quotas, &mut Faults::new());
    let expected = [
        limit(Metric::Tokens, Window::Day, 5),
        limit(Metric::Cost, Window::Day, 1_500_000_000_000),
    ];
    assert_eq!(
        (rule.limits.as_slice(), rule.per.scope),
        (&expected[..], Scope::Project)
    );

    let limits = json!({"max_tokens_per_month": 9, "seats": 3});
    let rule = UsageRule::subscription(&limits, &mut Faults::new());
    let expected = [limit(Metric::Tokens, Window::Month, 9)];
    assert_eq!(
        (rule.limits.as_slice(), rule.per.scope),
        (&expected[..], Scope::Organization)
    );

    assert_eq!(
        UsageRule::quotas(&json!(null), &mut Faults::new()).limits,
        []
    );
    let faults = faults_of(|faults| {
        UsageRule::quotas(&json!({"max_tokens_per_day": "5"}), faults);
        UsageRule::subscription(&json!([]), faults)
    });
    let expected = [
        "$.quotas.max_tokens_per_day: must be a whole number from 0 to 1000000000000000",
        "$.limits: must be an object",
    ];
    assert_eq!(faults, expected);
}

proptest! {
    #[test]
    fn no_json_is_too_strange(value in any_json()) {
        let mut faults = Faults::new();
        let rule = UsageRule::parse(&value, Owner::Organization, &mut faults);
        prop_assert!(!faults.is_empty() || !rule.limits.is_empty());
        UsageRule::quotas(&value, &mut faults);
        UsageRule::subscription(&value, &mut faults);
    }
}
