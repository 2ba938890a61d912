//! The engine as a whole: reloads, faults, and many requests at once. What it decides is in the golden tables.

mod golden;
mod items;
mod leaving;
mod limits;
mod reading;
mod rehearsals;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{ApiKeyId, Endpoint, McpServerId, OrgId, Picodollars, PriceBook, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::book::Amounts;
use crate::denial::{Denial, Reason};
use crate::facts::{Caller, Request};
use crate::limit::Window;
use crate::source::{PolicySource, PolicyStatus, ServerSource, SubscriptionSource, ToolSource};
use crate::testing;

const ORG: OrgId = OrgId(Uuid::from_u128(0xa));
const PROJECT: ProjectId = ProjectId(Uuid::from_u128(0xb));
const OWNER: UserId = UserId(Uuid::from_u128(0xc1));
const MEMBER: UserId = UserId(Uuid::from_u128(0xc2));

/// A clock that stands, unless it is moved.
#[derive(Debug, Default)]
struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        now()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// 2026-11-25, 09:30, a Wednesday.
fn now() -> Timestamp {
    Timestamp {
        unix_micros: (20_782 * 86_400 + 34_200) * 1_000_000,
    }
}

fn engine() -> Engine {
    Engine::new(Arc::new(Standing::default()))
}

fn policy(number: u128, kind: &str, rules: Value) -> PolicySource {
    PolicySource {
        id: PolicyId(Uuid::from_u128(number)),
        name: format!("policy {number}"),
        kind: kind.to_owned(),
        rules,
        applies_to: json!({"users": ["all"], "projects": ["all"], "models": ["all"]}),
        priority: 100,
        status: PolicyStatus::Active,
        created_unix_micros: i64::try_from(number).unwrap(),
    }
}

fn org(policies: Vec<PolicySource>) -> OrgSource {
    OrgSource {
        id: ORG,
        slug: "acme".to_owned(),
        settings: json!({}),
        subscription: None,
        roles: [(OWNER, "owner".to_owned()), (MEMBER, "member".to_owned())].into(),
        policies,
    }
}

fn project(policies: Vec<PolicySource>) -> ProjectSource {
    ProjectSource {
        id: PROJECT,
        slug: "website".to_owned(),
        settings: json!({"allowed_models": ["*"]}),
        quotas: json!({}),
        policies,
        mcp_servers: Vec::new(),
    }
}

fn caller(user_id: UserId) -> Caller {
    Caller {
        key_id: ApiKeyId(Uuid::from_u128(0xd)),
        user_id: Some(user_id),
        project_id: PROJECT,
        org_id: ORG,
        test: false,
        address: "10.1.2.3".parse().unwrap(),
    }
}

/// A request of `messages` with these fields beside the usual ones.
fn with_request<R>(more: &Value, run: impl FnOnce(&Request<'_>) -> R) -> R {
    let mut body = json!({"model": "claude-opus-5", "max_tokens": 500});
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    testing::with_request(Endpoint::Messages, &body.to_string(), |request| {
        run(&Request {
            body_bytes: 300,
            ..request
        })
    })
}

fn admit(engine: &Engine, caller: &Caller, more: &Value) -> Result<Admitted, Box<Denial>> {
    let prices = &PriceBook::embedded().unwrap();
    with_request(more, |request| {
        match engine.admit(caller, request, prices, now()) {
            Ok(admitted) => Ok(admitted),
            Err(Refused::Denied(denial)) => Err(denial),
            Err(Refused::Unknown(project)) => panic!("no rules of {project}"),
        }
    })
}

fn used(tokens: u64, cost: u64) -> Spend<'static> {
    Spend {
        model: "claude-opus-5",
        amounts: Amounts {
            input_tokens: tokens,
            output_tokens: 0,
            requests: 1,
            cost,
        },
        good: false,
    }
}

fn server(number: u128, name: &str, status: &str, policy: Value) -> ServerSource {
    ServerSource {
        id: McpServerId(Uuid::from_u128(number)),
        name: name.to_owned(),
        status: status.to_owned(),
        url: None,
        policy,
        tools: vec![ToolSource {
            name: "force_push".to_owned(),
            enabled: false,
        }],
    }
}

#[test]
fn a_reload_resets_nothing_and_a_changed_limit_counts_what_was_used() {
    let limit = |most: u64| {
        policy(
            1,
            "usage",
            json!({"max_tokens_per_day": most, "max_requests_per_minute": 3}),
        )
    };
    let engine = engine();
    let put = |policies| engine.replace(&Arc::new(org(policies)), &[Arc::new(project(Vec::new()))]);
    put(vec![limit(5_000)]);
    let first = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let running = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(first, &used(4_000, 0));
    put(vec![limit(5_000)]);
    // 4,000 are spent, 600 held, and 600 expected.
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.reason, Reason::BudgetExhausted);
    put(vec![limit(6_000)]);
    engine.settle(running, &used(500, 0));
    drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.reason, Reason::RateLimited, "{}", denial.message);
    put(vec![policy(
        2,
        "usage",
        json!({"max_tokens_per_month": 5_000}),
    )]);
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.exhausted.unwrap().spent, "4500");
}

#[test]
fn a_policy_that_nobody_understands_leaves_the_one_before_in_force() {
    let good = policy(1, "access", json!({"denied_models": ["opus"]}));
    let bad = policy(1, "access", json!({"denied_models": "opus"}));
    let engine = engine();
    let put = |policy| {
        engine.replace(
            &Arc::new(org(vec![policy])),
            &[Arc::new(project(Vec::new()))],
        )
    };
    assert_eq!(put(good.clone()), []);
    let faults = put(bad.clone());
    assert_eq!(faults[0].policy_id, Some(bad.id));
    assert_eq!(
        faults[0].faults[0].to_string(),
        "$.rules.denied_models: must be a list"
    );
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.reason, Reason::ModelNotAllowed);
    // Still, after one more change of something else.
    put(bad.clone());
    assert_eq!(
        admit(&engine, &caller(OWNER), &json!({}))
            .unwrap_err()
            .reason,
        Reason::ModelNotAllowed
    );

    let fresh = super::tests::engine();
    fresh.replace(&Arc::new(org(vec![bad])), &[Arc::new(project(Vec::new()))]);
    let denial = admit(&fresh, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.reason, Reason::PolicyDenied);
    assert!(
        denial.message.contains("$.rules.denied_models"),
        "{}",
        denial.message
    );
    let faults = fresh.replace(&Arc::new(org(vec![good])), &[Arc::new(project(Vec::new()))]);
    assert_eq!(faults, []);
}

#[test]
fn what_is_gone_is_forgotten() {
    let engine = engine();
    engine.replace(&Arc::new(org(Vec::new())), &[Arc::new(project(Vec::new()))]);
    assert!(engine.knows(PROJECT));
    engine.replace(&Arc::new(org(Vec::new())), &[]);
    assert!(!engine.knows(PROJECT));
    engine.replace(&Arc::new(org(Vec::new())), &[Arc::new(project(Vec::new()))]);
    engine.remove(ORG);
    assert!(!engine.knows(PROJECT));
    let prices = &PriceBook::embedded().unwrap();
    let refused = with_request(&json!({}), |request| {
        engine.admit(&caller(OWNER), request, prices, now())
    });
    assert!(matches!(refused, Err(Refused::Unknown(PROJECT))));
}

/// Many at once on one dollar, each using up to twice of what is expected of it.
#[test]
fn a_dollar_that_64_share_is_overspent_by_no_more_than_wrong_estimates() {
    const CALLERS: u128 = 64;
    let engine = engine();
    let dollar = policy(1, "usage", json!({"max_cost_per_day_usd": 1}));
    engine.replace(
        &Arc::new(org(vec![dollar])),
        &[Arc::new(project(Vec::new()))],
    );
    let (spent, most_beyond) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..CALLERS {
            let (engine, spent, most_beyond) = (&engine, &spent, &most_beyond);
            scope.spawn(move || {
                let mut caller = caller(OWNER);
                caller.key_id = ApiKeyId(Uuid::from_u128(number));
                let mut seed = u64::try_from(number).unwrap() + 1;
                while let Ok(admitted) = admit(engine, &caller, &json!({})) {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Some cents, where about 1.3 are expected.
                    let cost = seed % (26 * Picodollars::CENT.0 / 10);
                    std::thread::yield_now();
                    spent.fetch_add(cost, Ordering::Relaxed);
                    most_beyond.fetch_max(cost, Ordering::Relaxed);
                    engine.settle(admitted, &used(0, cost));
                }
            });
        }
    });
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    let (spent, most) = (spent.into_inner(), most_beyond.into_inner());
    assert_eq!(
        denial.exhausted.unwrap().spent,
        Picodollars(spent).to_string()
    );
    // At most those that ran at the same time went beyond what was held for them.
    let bound = Picodollars::DOLLAR.0 + u64::try_from(CALLERS).unwrap() * most;
    assert!(spent <= bound, "{spent}");
    // Nobody was refused with money left for what was expected of it: 500 tokens of output, and 100 of input.
    let expected = 2 * Picodollars::CENT.0;
    assert!(spent + expected > Picodollars::DOLLAR.0, "{spent}");
}
