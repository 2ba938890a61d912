//! Requests under policies, as benchmarks and tests of what decisions cost make them.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::sync::Arc;
use std::time::Duration;

use domain::{ApiKeyId, Clock, Endpoint, OrgId, PolicyId, PriceBook, ProjectId, Timestamp, UserId};
use policy_engine::{
    Admitted, Amounts, Caller, Engine, Field, OrgSource, PolicySource, PolicyStatus, ProjectSource,
    Request, Spend,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The moment of every request.
pub const NOW: Timestamp = Timestamp {
    unix_micros: 1_795_599_000_000_000,
};

/// No rate is measured here.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A policy of those that a project has: of five, two are limits of usage.
pub fn policy(number: usize) -> PolicySource {
    match number % 5 {
        0 => project_budget(number),
        2 => key_budget(number),
        _ => rule(number),
    }
}

/// A limit of usage that no benchmark reaches, of the project's or of each key's by turns.
pub fn budget(number: usize) -> PolicySource {
    if number.is_multiple_of(2) {
        project_budget(number)
    } else {
        key_budget(number)
    }
}

fn project_budget(number: usize) -> PolicySource {
    source(number, "usage", json!({"max_cost_per_day_usd": 1_000_000}))
}

fn key_budget(number: usize) -> PolicySource {
    let rules = json!({"max_tokens_per_month": 1_000_000_000_000_u64, "per": "key"});
    source(number, "usage", rules)
}

/// Policies of one kind, by name, none of which refuses anything.
pub fn kinds() -> [(&'static str, &'static str, Value); 11] {
    let plenty = 1_000_000_000_u64;
    let long = "request.max_tokens > 32000";
    [
        ("models", "access", json!({"allowed_models": ["claude-*"]})),
        (
            "name",
            "access",
            json!({"denied_models": ["claude-instant-1"]}),
        ),
        (
            "address",
            "access",
            json!({"allowed_ips": ["10.0.0.0/8", "127.0.0.0/8"]}),
        ),
        ("max_tokens", "access", json!({"max_tokens": 100_000})),
        (
            "fields",
            "compliance",
            json!({"forbidden_fields": ["container"]}),
        ),
        (
            "custom",
            "custom",
            json!({"expression": long, "message": "too long"}),
        ),
        (
            "custom, interpreted",
            "custom",
            json!({"expression": "'Bash' in request.tools"}),
        ),
        (
            "rate of a key",
            "usage",
            json!({"max_requests_per_minute": plenty, "per": "key"}),
        ),
        ("rate", "usage", json!({"max_requests_per_minute": plenty})),
        ("cost", "usage", json!({"max_cost_per_day_usd": 1_000_000})),
        (
            "tokens of a user",
            "usage",
            json!({"max_tokens_per_hour": 1_000_000 * plenty, "per": "user"}),
        ),
    ]
}

/// One of three kinds of rules that say what may be asked, by turns.
pub fn rule(number: usize) -> PolicySource {
    let (kind, rules) = match number % 3 {
        0 => ("compliance", json!({"forbidden_fields": ["container"]})),
        1 => (
            "access",
            json!({"allowed_models": ["opus", "claude-sonnet-*"], "max_tokens": 8_192}),
        ),
        _ => (
            "access",
            json!({"denied_endpoints": ["files"], "allowed_ips": ["10.0.0.0/8"]}),
        ),
    };
    source(number, kind, rules)
}

/// A policy with these rules.
pub fn source(number: usize, kind: &str, rules: Value) -> PolicySource {
    PolicySource {
        id: PolicyId(Uuid::from_u128(number as u128)),
        name: format!("policy {number}"),
        kind: kind.to_owned(),
        rules,
        applies_to: Value::Null,
        priority: 100,
        status: PolicyStatus::Active,
        created_unix_micros: 0,
    }
}

/// A project under these policies.
pub fn engine(policies: Vec<PolicySource>) -> Engine {
    let engine = Engine::new(Arc::new(Standing));
    let org = OrgSource {
        id: OrgId(Uuid::nil()),
        slug: "acme".to_owned(),
        settings: json!({}),
        subscription: None,
        roles: Default::default(),
        policies: Vec::new(),
    };
    let project = ProjectSource {
        id: ProjectId(Uuid::nil()),
        slug: "website".to_owned(),
        settings: json!({}),
        quotas: json!({}),
        policies,
        mcp_servers: Vec::new(),
    };
    assert_eq!(engine.replace(&Arc::new(org), &[Arc::new(project)]), []);
    engine
}

fn caller(key: u128) -> Caller {
    Caller {
        key_id: ApiKeyId(Uuid::from_u128(key)),
        user_id: Some(UserId(Uuid::nil())),
        project_id: ProjectId(Uuid::nil()),
        org_id: OrgId(Uuid::nil()),
        test: false,
        address: "10.1.2.3".parse().unwrap(),
    }
}

/// Lets one request of a key pass.
pub fn admit(engine: &Engine, prices: &PriceBook, key: u128) -> Admitted {
    let field = |name: &'static str, json| Field {
        name: name.into(),
        json,
    };
    let fields = [
        field("model", "\"claude-opus-5\""),
        field("max_tokens", "1024"),
        field("messages", "[]"),
    ];
    let request = Request {
        model: "claude-opus-5",
        max_tokens: 1_024,
        body_bytes: 1_000,
        fields: &fields,
        ..Request::of(Endpoint::Messages)
    };
    engine.admit(&caller(key), &request, prices, NOW).unwrap()
}

/// Says what it used.
pub fn settle(engine: &Engine, admitted: Admitted) {
    let amounts = Amounts {
        input_tokens: 300,
        output_tokens: 200,
        requests: 1,
        cost: 1_000_000,
    };
    let spend = Spend {
        model: "claude-opus-5",
        amounts,
        good: true,
    };
    engine.settle(admitted, &spend);
}
