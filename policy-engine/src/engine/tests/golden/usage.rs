//! Limits: every kind, for whom they are counted, and what becomes of requests beyond them.

use super::*;
use crate::limit::Metric;

/// One request of those that are expected fits into each.
#[test]
fn every_limit() {
    let mut text = String::new();
    for (metric, most) in [
        (Metric::Tokens, json!(1_000)),
        (Metric::InputTokens, json!(150)),
        (Metric::OutputTokens, json!(900)),
        (Metric::Requests, json!(1)),
        (Metric::Cost, json!("0.02")),
    ] {
        for window in Window::ALL {
            let unit = if metric == Metric::Cost { "_usd" } else { "" };
            let name = format!("max_{}_per_{}{unit}", metric.as_str(), window.as_str());
            let rules = json!({ name: most });
            writeln!(text, "{rules}").unwrap();
            let engine = World::new().project("usage", rules, plain).engine();
            let requests = [asked(json!({})), asked(json!({}))];
            text.push_str(&play(&engine, &requests, EXPECTED));
        }
    }
    insta::assert_snapshot!(text);
}

/// One request for each counter, of a budget and of a rate: which requests are counted with the first.
#[test]
fn counters() {
    let mut text = String::new();
    for (owner, per) in [
        ("project", json!(null)),
        ("project", json!("key")),
        ("project", json!("user")),
        ("project", json!("project")),
        ("project", json!(["project", "model"])),
        ("organization", json!(null)),
        ("organization", json!("key")),
        ("organization", json!("user")),
        ("organization", json!("project")),
        ("organization", json!("organization")),
        ("organization", json!(["organization", "model"])),
        ("organization", json!(["model", "key"])),
    ] {
        writeln!(text, "{owner}, per {per}").unwrap();
        for second in seconds() {
            let together = |limit: &str| {
                let engine = with_a_shop(owner, json!({ limit: 1, "per": per }));
                let first = asked(json!({})).admit(&engine).unwrap();
                let counted = second.admit(&engine);
                drop(first);
                counted.is_err_and(|denial| denial.reason.is_limit())
            };
            let of_budget = together("max_requests_per_day");
            assert_eq!(together("max_requests_per_minute"), of_budget);
            let how = if of_budget { "together" } else { "apart" };
            writeln!(text, "  {how}: {second}").unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

const SHOP: ProjectId = ProjectId(Uuid::from_u128(0xb2));

fn with_a_shop(owner: &str, rules: Value) -> Engine {
    let mut world = World::new();
    let mut shop = project(Vec::new());
    (shop.id, shop.slug) = (SHOP, "shop".to_owned());
    world.projects.push(shop);
    let world = match owner {
        "project" => world.project("usage", rules, plain),
        _ => world.org("usage", rules, plain),
    };
    world.engine()
}

fn seconds() -> [Asked; 6] {
    let by = |who, key, user, project_id| Asked {
        who,
        caller: Caller {
            key_id: ApiKeyId(Uuid::from_u128(key)),
            project_id,
            ..caller(user)
        },
        ..asked(json!({}))
    };
    let model = |name: &str| asked(json!({ "model": name }));
    [
        by("the same key", 0xd, OWNER, PROJECT),
        model("claude-opus-5-20260101"),
        model("claude-haiku-4-5"),
        by("another key of the user", 0xd2, OWNER, PROJECT),
        by("another user's key", 0xd3, MEMBER, PROJECT),
        by("the user's key for another project", 0xd4, OWNER, SHOP),
    ]
}

/// A request below all shares, one at 85 %, and one beyond; of a rate, one within and one beyond.
#[test]
fn actions() {
    let mut text = String::new();
    let used = Amounts {
        input_tokens: 3_300,
        ..EXPECTED
    };
    for action in [
        json!({}),
        json!({"action": "hard_limit"}),
        json!({"action": "hard_limit", "warn_at_percent": 85}),
        json!({"action": "soft_limit"}),
        json!({"action": "soft_limit", "warn_at_percent": 15}),
        json!({"action": "warn"}),
        json!({"action": "warn", "warn_at_percent": 86}),
        json!({"action": "log"}),
    ] {
        for (limit, most, count) in [
            ("max_input_tokens_per_day", 4_000, 3),
            ("max_requests_per_minute", 1, 2),
        ] {
            let mut rules = action.clone();
            rules[limit] = json!(most);
            writeln!(text, "{rules}").unwrap();
            let engine = World::new().project("usage", rules, plain).engine();
            let requests: Vec<_> = (0..count).map(|_| asked(json!({}))).collect();
            text.push_str(&play(&engine, &requests, used));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn models_without_a_price() {
    let unheard = || asked(json!({"model": "claude-unheard-of-1"}));
    insta::assert_snapshot!(rows(
        "usage",
        vec![
            (json!({"max_cost_per_day_usd": 1}), unheard()),
            (
                json!({"max_cost_per_day_usd": 1, "allow_unpriced": false}),
                unheard()
            ),
            (
                json!({"max_cost_per_day_usd": 1, "allow_unpriced": true}),
                unheard()
            ),
            (
                json!({"max_cost_per_day_usd": 1, "action": "soft_limit"}),
                unheard()
            ),
            (json!({"max_tokens_per_day": 1_000}), unheard()),
        ]
    ));
}

/// What has no budgets, or no limits at all.
#[test]
fn exceptions() {
    let none = json!({"max_tokens_per_day": 0});
    let no_rate = json!({"max_requests_per_minute": 0});
    let test_key = || {
        let mut test = caller(OWNER);
        test.test = true;
        Asked {
            who: "a key for tests",
            caller: test,
            ..asked(json!({}))
        }
    };
    let endpoint = |endpoint, reads| Asked {
        endpoint,
        reads,
        ..asked(json!({}))
    };
    let mut table = Vec::new();
    for rules in [none, no_rate] {
        for asked in [
            asked(json!({})),
            test_key(),
            endpoint(Endpoint::CountTokens, false),
            endpoint(Endpoint::Models, true),
            endpoint(Endpoint::Batches, true),
            endpoint(Endpoint::Batches, false),
            endpoint(Endpoint::Files, false),
        ] {
            table.push((rules.clone(), asked));
        }
    }
    insta::assert_snapshot!(rows("usage", table));
}
