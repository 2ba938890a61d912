//! Rules as tables: what is wrong with them, and what they have against requests.

use domain::{ApiKeyId, Endpoint, OrgId, PolicyId, ProjectId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::facts::Role;
use crate::source::{PolicySource, PolicyStatus};
use crate::testing::with_request;

const USER: UserId = UserId(Uuid::from_u128(2));

fn source(kind: &str, rules: Value) -> PolicySource {
    PolicySource {
        id: PolicyId(Uuid::nil()),
        name: "a policy".to_owned(),
        kind: kind.to_owned(),
        rules,
        applies_to: Value::Null,
        priority: 100,
        status: PolicyStatus::Active,
        created_unix_micros: 0,
    }
}

fn faults(kind: &str, rules: Value, applies_to: Value) -> String {
    let source = PolicySource {
        applies_to,
        ..source(kind, rules)
    };
    match Policy::parse(&source, Owner::Project) {
        Ok(_) => "none".to_owned(),
        Err(faults) => {
            let mut lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            lines.sort();
            lines.join("\n")
        }
    }
}

#[test]
fn every_fault_is_told_with_its_place() {
    let usage = json!({
        "max_tokens_per_day": -1, "max_cost_per_month_usd": "many", "max_requests_per_year": 5,
        "per": ["key", "user"], "action": "refuse", "warn_at_percent": 0, "allow_unpriced": "yes",
    });
    let access = json!({
        "allowed_models": ["", 5, "claude-*", "["], "denied_endpoints": ["message"], "max_tokens": 0,
        "allowed_ips": ["10.0.0.0/33", "::1"], "allowed_hours": [{"days": ["monday"], "from": "8:00"}, 5],
        "blocked_mcp_tools": "delete_*", "action": "hard_limit",
    });
    let compliance = json!({
        "required_metadata": [5], "forbidden_fields": ["a..b"], "inference_geo": "us", "max_scan_bytes": 0,
        "blocked_patterns": [{"name": "a", "pattern": "("}, {"pattern": "(?=x)"}, {"name": "b", "pattern": "x", "flags": "i"}],
    });
    let applies_to = json!({
        "users": ["me"], "roles": ["developer"], "projects": [1], "api_keys": ["all"], "models": [], "teams": [],
    });
    let all = [
        ("usage", usage, Value::Null),
        ("usage", json!({"action": "warn"}), json!([])),
        (
            "usage",
            json!({"max_tokens_per_day": 1, "per": "organization"}),
            Value::Null,
        ),
        ("access", access, Value::Null),
        ("compliance", compliance, Value::Null),
        ("custom", json!({"message": 5}), Value::Null),
        (
            "custom",
            json!({"expression": "request.model =="}),
            Value::Null,
        ),
        (
            "custom",
            json!({"expression": "request.mdel == 'x' || user == 5 || x"}),
            Value::Null,
        ),
        (
            "custom",
            json!({"expression": "request.tools.all(t, request.betas.exists(b, b == t))"}),
            Value::Null,
        ),
        ("custom", json!({"expression": "(".repeat(40)}), Value::Null),
        (
            "custom",
            json!({"expression": format!("1{} == 1", "+1".repeat(2_000))}),
            Value::Null,
        ),
        (
            "custom",
            json!({"expression": format!("{}true", "!".repeat(250))}),
            Value::Null,
        ),
        ("custom", json!([]), Value::Null),
        ("budget", json!({}), applies_to),
    ];
    let told: Vec<_> = all
        .into_iter()
        .map(|(kind, rules, applies_to)| {
            format!(
                "{kind} {rules}\n{}",
                faults(kind, rules.clone(), applies_to)
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

/// A request in words: what a policy has against it, if it has anything.
struct Case {
    kind: &'static str,
    rules: Value,
    body: Value,
    betas: &'static [&'static str],
    address: &'static str,
    endpoint: Endpoint,
}

impl Case {
    fn new(kind: &'static str, rules: Value, body: Value) -> Self {
        Self {
            kind,
            rules,
            body,
            betas: &[],
            address: "10.1.2.3",
            endpoint: Endpoint::Messages,
        }
    }

    fn objection(&self) -> Option<(Action, Objection)> {
        let policy = Policy::parse(&source(self.kind, self.rules.clone()), Owner::Project).unwrap();
        let caller = Caller {
            key_id: ApiKeyId(Uuid::from_u128(1)),
            user_id: Some(USER),
            project_id: ProjectId(Uuid::from_u128(3)),
            org_id: OrgId(Uuid::from_u128(4)),
            test: false,
            address: self.address.parse().unwrap(),
        };
        let mut people = People::default();
        people.roles.insert(USER, Role::Member);
        people.projects.insert(caller.project_id, "website".into());
        with_request(&self.body, |request| {
            let request = Request {
                endpoint: self.endpoint,
                body_bytes: 100,
                betas: self.betas,
                ..request
            };
            policy.check(&Context {
                request: &request,
                caller: &caller,
                holder: Holder {
                    org_id: caller.org_id,
                    project_id: caller.project_id,
                    user_id: caller.user_id,
                    key_id: caller.key_id,
                },
                org_slug: "acme",
                people: &people,
                // 2026-11-25, a Wednesday, 09:30.
                now: Timestamp {
                    unix_micros: (20_782 * 86_400 + 34_200) * 1_000_000,
                },
            })
        })
    }
}

#[test]
fn rules_object_to_what_they_say() {
    let opus = || json!({"model": "claude-opus-5", "max_tokens": 100});
    let with = |field: &str, value: Value| {
        let mut body = opus();
        body[field] = value;
        body
    };
    let tool = |name: &str| with("tools", json!([{"name": name}]));
    let server = || {
        with(
            "mcp_servers",
            json!([{"type": "url", "name": "git", "url": "u"}]),
        )
    };
    let said = |text: &str| {
        with(
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": text}]}]),
        )
    };
    let geo = |allowed: Value| json!({"inference_geo": allowed});
    let key = || json!({"blocked_patterns": [{"name": "aws-key", "pattern": "AKIA[0-9A-Z]{16}"}]});
    let secret = "AKIAABCDEFGHIJKLMNOP";
    let cel = |expression: &str| json!({"expression": expression, "message": "no"});
    let model = |list: &str, entry: &str| json!({list: [entry]});
    let rows = [
        ("access", model("allowed_models", "sonnet"), opus()),
        ("access", model("allowed_models", "opus"), opus()),
        ("access", model("denied_models", "claude-opus-*"), opus()),
        (
            "access",
            model("denied_models", "haiku"),
            with("fallbacks", json!(["claude-haiku-4-5"])),
        ),
        (
            "access",
            model("denied_models", "haiku"),
            with("fallbacks", json!([{"model": "claude-haiku-4-5"}])),
        ),
        (
            "access",
            model("denied_models", "haiku"),
            with("fallbacks", json!("default")),
        ),
        (
            "access",
            model("denied_models", "haiku"),
            with(
                "tools",
                json!([{"type": "advisor", "model": "claude-haiku-4-5"}]),
            ),
        ),
        (
            "access",
            model("denied_models", "haiku"),
            with("fallbacks", json!(5)),
        ),
        ("access", json!({"denied_endpoints": ["messages"]}), opus()),
        ("access", json!({"allowed_endpoints": ["messages"]}), opus()),
        ("access", json!({"max_tokens": 99}), opus()),
        ("access", json!({"max_tokens": 100}), opus()),
        (
            "access",
            json!({"max_tokens": 99, "action": "warn"}),
            opus(),
        ),
        (
            "access",
            json!({"allowed_ips": ["10.0.0.0/8", "::1"]}),
            opus(),
        ),
        (
            "access",
            json!({"denied_ips": ["10.1.2.3"], "action": "log"}),
            opus(),
        ),
        (
            "access",
            json!({"allowed_hours": [{"from": "08:00", "to": "09:30"}]}),
            opus(),
        ),
        (
            "access",
            json!({"allowed_hours": [{"from": "09:30", "to": "09:31"}]}),
            opus(),
        ),
        (
            "access",
            json!({"blocked_mcp_tools": ["delete_*"]}),
            tool("mcp__git__delete_repo"),
        ),
        (
            "access",
            json!({"blocked_mcp_tools": ["delete_*"]}),
            tool("delete_repo"),
        ),
        (
            "access",
            json!({"blocked_mcp_tools": ["git/*"]}),
            tool("mcp__git__push"),
        ),
        ("access", json!({"blocked_mcp_tools": ["git/*"]}), server()),
        (
            "access",
            json!({"blocked_mcp_tools": ["git/push"]}),
            server(),
        ),
        ("access", json!({"allowed_mcp_tools": ["push"]}), server()),
        ("access", json!({"allowed_mcp_tools": ["*"]}), server()),
        ("access", json!({"blocked_mcp_servers": ["g*"]}), server()),
        (
            "access",
            json!({"allowed_mcp_servers": ["git"]}),
            tool("mcp__git__push"),
        ),
        (
            "access",
            json!({"allowed_mcp_servers": ["jira"]}),
            with("tools", json!({})),
        ),
        (
            "compliance",
            json!({"required_metadata": ["user_id"]}),
            opus(),
        ),
        (
            "compliance",
            json!({"required_metadata": ["user_id"]}),
            with("metadata", json!({"user_id": ""})),
        ),
        (
            "compliance",
            json!({"required_metadata": ["user_id"]}),
            with("metadata", json!({"user_id": "u"})),
        ),
        (
            "compliance",
            json!({"forbidden_fields": ["metadata.user_id"]}),
            with("metadata", json!({"user_id": "u"})),
        ),
        (
            "compliance",
            json!({"forbidden_fields": ["metadata.user_id"]}),
            with("metadata", json!({"user_id": null})),
        ),
        (
            "compliance",
            json!({"forbidden_fields": ["max_tokens"]}),
            opus(),
        ),
        ("compliance", geo(json!(["us"])), opus()),
        ("compliance", geo(json!(["us", null])), opus()),
        (
            "compliance",
            geo(json!(["us", null])),
            with("inference_geo", json!(["us"])),
        ),
        (
            "compliance",
            geo(json!(["us"])),
            with("inference_geo", json!("us")),
        ),
        (
            "compliance",
            geo(json!(["us"])),
            with("inference_geo", json!("global")),
        ),
        ("compliance", key(), said(&format!("my key: {secret}."))),
        ("compliance", key(), said("my key is a secret")),
        ("compliance", key(), with("system", json!(secret))),
        (
            "compliance",
            key(),
            with("metadata", json!({"user_id": secret})),
        ),
        (
            "compliance",
            key(),
            with("messages", json!([{"source": {"data": secret}}])),
        ),
        (
            "compliance",
            key(),
            with(
                "messages",
                json!([{"source": {"data": format!("{}{secret}", "A".repeat(300))}}]),
            ),
        ),
        (
            "custom",
            cel("request.max_tokens > 50 && user.role == 'member'"),
            opus(),
        ),
        ("custom", cel("request.max_tokens > 500"), opus()),
        (
            "custom",
            cel("request.tools.exists(t, t.startsWith('mcp__'))"),
            tool("mcp__git__push"),
        ),
        (
            "custom",
            cel(
                "project.slug == 'website' && time.hour == 9 && time.weekday == 3 && client.ip == '10.1.2.3'",
            ),
            opus(),
        ),
        (
            "custom",
            cel("'x' in request.metadata"),
            with("metadata", json!({"x": "1"})),
        ),
        ("custom", cel("request.speed == ''"), opus()),
        ("custom", cel("request.model"), opus()),
        (
            "custom",
            cel("request.tools.size() > 0"),
            with("tools", json!(5)),
        ),
    ];
    let decided: Vec<_> = rows
        .into_iter()
        .map(|(kind, rules, body)| {
            let case = Case::new(kind, rules, body);
            let decision = match case.objection() {
                None => "passes".to_owned(),
                Some((action, Objection { reason, message })) => {
                    format!("{action:?} {}: {message}", reason.as_str())
                }
            };
            let body = case.body.to_string();
            let body = if body.len() > 200 { "..." } else { &body };
            format!("{kind} {}\n{body}\n  {decision}", case.rules)
        })
        .collect();
    insta::assert_snapshot!(decided.join("\n"));
}

#[test]
fn betas_and_endpoints_count_without_a_body() {
    let mut case = Case::new("access", json!({"denied_betas": ["files-*"]}), json!({}));
    assert_eq!(case.objection(), None);
    case.betas = &["mcp-client-2025-11-20", "files-api-2025-04-14"];
    let (_, objection) = case.objection().unwrap();
    assert_eq!(
        objection.message,
        "the beta files-api-2025-04-14 is not allowed"
    );
    let mut case = Case::new(
        "access",
        json!({"allowed_endpoints": ["messages"]}),
        json!({}),
    );
    case.endpoint = Endpoint::Files;
    assert_eq!(
        case.objection().unwrap().1.reason,
        Reason::EndpointNotAllowed
    );
}

#[test]
fn texts_are_searched_up_to_their_limit_and_with_their_escapes() {
    let secret = "AKIAABCDEFGHIJKLMNOP";
    let rules = |most: u64| json!({"max_scan_bytes": most, "blocked_patterns": [{"name": "a", "pattern": "AKIA[0-9A-Z]{16}"}]});
    let body = json!({"messages": ["é".repeat(10), secret]});
    // 20 bytes of accents, and 20 of the secret.
    assert!(
        Case::new("compliance", rules(40), body.clone())
            .objection()
            .is_some()
    );
    assert!(
        Case::new("compliance", rules(39), body)
            .objection()
            .is_none()
    );
    let deep = json!({"messages": (0..200).fold(json!("x"), |inner, _| json!([inner]))});
    let (_, objection) = Case::new("compliance", rules(40), deep)
        .objection()
        .unwrap();
    assert_eq!(
        objection.message,
        "`messages` can't be searched for blocked patterns"
    );
}

#[test]
fn nothing_hides_behind_a_thousand_others() {
    let tools: Vec<Value> = (0..1_001)
        .map(|n| json!({"name": format!("t{n}")}))
        .collect();
    let rules = json!({"expression": "request.tools.exists(t, t == 'unheard of')"});
    let of = |count: usize| json!({"tools": tools.get(..count)});
    assert!(
        Case::new("custom", rules.clone(), of(1_000))
            .objection()
            .is_none()
    );
    assert!(Case::new("custom", rules, of(1_001)).objection().is_some());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z*\\[\\](){}?.:/0-9-]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("allowed_models"),
            Just("max_tokens_per_day"),
            Just("per"),
            Just("blocked_patterns"),
            Just("pattern"),
            Just("name"),
            Just("allowed_hours"),
            Just("from"),
            Just("to"),
            Just("expression"),
            Just("blocked_mcp_tools"),
            Just("max_cost_per_day_usd"),
            Just("allowed_ips"),
            Just("model"),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_policy_holds_it_is_a_rule_or_has_faults(
        kind in prop_oneof![Just("usage"), Just("access"), Just("compliance"), Just("custom")],
        rules in any_json(), applies_to in any_json(), body in any_json(),
    ) {
        let source = PolicySource { applies_to, ..source(kind, rules.clone()) };
        match Policy::parse(&source, Owner::Organization) {
            Err(faults) => prop_assert!(!faults.is_empty()),
            Ok(_) if body.is_object() && Policy::parse(&super::tests::source(kind, rules.clone()), Owner::Project).is_ok() => {
                let _objection = Case::new(kind, rules, body).objection();
            }
            Ok(_) => {}
        }
    }
}
