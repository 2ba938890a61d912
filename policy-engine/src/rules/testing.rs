//! What the tests of rules share: a caller, a request from JSON, a context, and faults as text.

use domain::{ApiKeyId, Endpoint, OrgId, ProjectId, Timestamp, UserId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Context, Faults, Objection};
use crate::budget::{Holder, People};
use crate::facts::{Caller, Request, Role};
use crate::testing::with_request;

pub(crate) fn caller() -> Caller {
    Caller {
        key_id: ApiKeyId(Uuid::from_u128(1)),
        user_id: Some(UserId(Uuid::from_u128(2))),
        project_id: ProjectId(Uuid::from_u128(3)),
        org_id: OrgId(Uuid::from_u128(4)),
        test: false,
        address: "192.0.2.7".parse().unwrap(),
    }
}

/// The same, as far as budgets tell callers apart.
pub(crate) fn holder() -> Holder {
    let caller = caller();
    Holder {
        org_id: caller.org_id,
        project_id: caller.project_id,
        user_id: caller.user_id,
        key_id: caller.key_id,
    }
}

/// The caller is a member, and its project a website.
pub(crate) fn people() -> People {
    let caller = caller();
    People {
        roles: caller
            .user_id
            .map(|user| (user, Role::Member))
            .into_iter()
            .collect(),
        projects: [(caller.project_id, "website".into())].into(),
    }
}

/// Everything found wrong, as text.
pub(crate) fn faults_of<T>(parse: impl FnOnce(&mut Faults) -> T) -> Vec<String> {
    let mut faults = Faults::new();
    parse(&mut faults);
    faults.iter().map(ToString::to_string).collect()
}

/// What a check answers about a body sent to an endpoint.
pub(crate) fn ask(
    endpoint: Endpoint,
    body: &str,
    check: impl FnOnce(&Context<'_>) -> Option<Objection>,
) -> Option<Objection> {
    with_request(endpoint, body, |request| {
        let request = Request {
            betas: &["context-1m-2025-08-07"],
            ..request
        };
        let (caller, people) = (caller(), people());
        check(&Context::new(
            &request,
            &caller,
            "acme",
            &people,
            wednesday(10, 30),
        ))
    })
}

/// A minute of 2026-11-25, a Wednesday.
pub(crate) fn wednesday(hour: i64, minute: i64) -> Timestamp {
    Timestamp {
        unix_micros: (20_782 * 86_400 + hour * 3_600 + minute * 60) * 1_000_000,
    }
}

/// JSON of any shape, its keys and strings often such as policies and requests have.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(WORDS.to_vec()).prop_map(ToOwned::to_owned);
    let text = prop_oneof![word, any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..8)
                .prop_map(|members| json!(members.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

const WORDS: &[&str] = &[
    "",
    "*",
    "all",
    "opus",
    "claude-*",
    "[",
    "{a,b}",
    "(",
    "action",
    "block",
    "warn",
    "log",
    "per",
    "key",
    "model",
    "warn_at_percent",
    "max_cost_per_day_usd",
    "max_tokens_per_minute",
    "1e-3",
    "0.000000000001",
    "allowed_models",
    "denied_models",
    "allowed_endpoints",
    "messages",
    "max_tokens",
    "allowed_betas",
    "allowed_mcp_servers",
    "blocked_mcp_tools",
    "allowed_ips",
    "10.0.0.0/8",
    "::1",
    "allowed_hours",
    "days",
    "mon",
    "from",
    "to",
    "08:00",
    "required_metadata",
    "user_id",
    "forbidden_fields",
    "a.b",
    "inference_geo",
    "us",
    "blocked_patterns",
    "name",
    "pattern",
    "x+",
    "max_scan_bytes",
    "expression",
    "message",
    "request.model == ''",
    "users",
    "roles",
    "projects",
    "tools",
    "mcp__a__b",
    "mcp_servers",
    "tool_configuration",
    "allowed_tools",
    "enabled",
    "type",
    "mcp_toolset",
    "mcp_server_name",
    "default_config",
    "configs",
    "fallbacks",
    "metadata",
    "system",
    "content",
    "text",
    "data",
];

/// A body as text; any JSON at all, some of it an object.
pub(crate) fn any_body() -> impl Strategy<Value = String> {
    any_json().prop_map(|value| value.to_string())
}
