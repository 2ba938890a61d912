//! What a decision costs: with more and more policies, on a budget that two threads share, with a million keys.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that can't run says so, and its macros make items without documentation"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use domain::{ApiKeyId, Clock, Endpoint, OrgId, PolicyId, PriceBook, ProjectId, Timestamp, UserId};
use policy_engine::{
    Admitted, Amounts, Caller, Engine, Field, OrgSource, PolicySource, PolicyStatus, ProjectSource,
    Request, Spend,
};
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: Timestamp = Timestamp {
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

fn policy(number: usize) -> PolicySource {
    let (kind, rules) = match number % 5 {
        0 => ("usage", json!({"max_cost_per_day_usd": 1_000_000})),
        1 => (
            "access",
            json!({"allowed_models": ["opus", "claude-sonnet-*"], "max_tokens": 8_192}),
        ),
        2 => (
            "usage",
            json!({"max_tokens_per_month": 1_000_000_000_000_u64, "per": "key"}),
        ),
        3 => (
            "access",
            json!({"denied_endpoints": ["files"], "allowed_ips": ["10.0.0.0/8"]}),
        ),
        _ => ("compliance", json!({"forbidden_fields": ["container"]})),
    };
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

fn engine(policies: Vec<PolicySource>) -> Engine {
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
    assert_eq!(engine.replace(&org, &[Arc::new(project)]), []);
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

fn admit(engine: &Engine, prices: &PriceBook, key: u128) -> Admitted {
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

fn settle(engine: &Engine, admitted: Admitted) {
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

fn decisions(criterion: &mut Criterion) {
    let prices = PriceBook::embedded().unwrap();
    let mut group = criterion.benchmark_group("policies");
    for count in [0, 10, 100] {
        let engine = engine((0..count).map(policy).collect());
        group.bench_function(BenchmarkId::new("admit", count), |bencher| {
            bencher.iter(|| drop(black_box(admit(&engine, &prices, 1))));
        });
        group.bench_function(BenchmarkId::new("admit and settle", count), |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
    }
    let engine = engine(vec![policy(0)]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                settle(&engine, admit(&engine, &prices, 2));
            }
        });
        group.bench_function("admit and settle, two threads on one budget", |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
    memory(&prices);
}

/// Resident memory of a million keys with a budget each, all of them used in this window.
fn memory(prices: &PriceBook) {
    const KEYS: u128 = 1_000_000;
    let engine = engine(vec![policy(2)]);
    let before = resident_bytes();
    for key in 0..KEYS {
        settle(&engine, admit(&engine, prices, key));
    }
    let used = resident_bytes().saturating_sub(before);
    println!(
        "a million keys, all used: {} bytes a key, {:?}",
        used as u128 / KEYS,
        engine.size()
    );
    engine.sweep(NOW);
    println!("after a sweep: {:?}", engine.size());
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

criterion_group!(benches, decisions);
criterion_main!(benches);
