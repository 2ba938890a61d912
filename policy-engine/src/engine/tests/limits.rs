//! What rates and budgets take of requests, and what they don't.

use super::*;
use crate::budget::Whom;

fn put(engine: &Engine, policies: Vec<PolicySource>) {
    engine.replace(&Arc::new(org(policies)), &[Arc::new(project(Vec::new()))]);
}

#[test]
fn who_is_refused_by_one_rate_takes_nothing_of_the_others() {
    let engine = engine();
    let wide = policy(1, "usage", json!({"max_requests_per_minute": 3}));
    let narrow = json!({"max_requests_per_minute": 1, "per": "key"});
    put(&engine, vec![wide, policy(2, "usage", narrow)]);
    let mut other = caller(MEMBER);
    other.key_id = ApiKeyId(Uuid::from_u128(0xd2));
    drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    for _ in 0..10 {
        let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
        assert_eq!(denial.policy.unwrap().1.as_ref(), "policy 2");
        let left = denial.left.requests.unwrap();
        assert_eq!((left.limit, left.remaining), (1, 0));
    }
    let admitted = admit(&engine, &other, &json!({})).unwrap();
    assert_eq!(admitted.notes.left.requests.unwrap().remaining, 0);
    other.key_id = ApiKeyId(Uuid::from_u128(0xd3));
    drop(admit(&engine, &other, &json!({})).unwrap());
}

/// Two see that there is one left of a narrow rate; who doesn't get it gives back what it took of the wide one.
#[test]
fn who_comes_second_for_the_last_one_of_a_rate_takes_nothing_of_the_others() {
    const ROUNDS: u32 = 5_000;
    let engine = engine();
    let wide = json!({"max_requests_per_minute": ROUNDS + 1});
    let narrow = json!({"max_requests_per_minute": 1, "per": "key"});
    put(
        &engine,
        vec![policy(1, "usage", wide), policy(2, "usage", narrow)],
    );
    let prices = &PriceBook::embedded().unwrap();
    let is_admitted = |key: u32| {
        let mut caller = caller(OWNER);
        caller.key_id = ApiKeyId(Uuid::from_u128(key.into()));
        with_request(&json!({}), |request| {
            engine.admit(&caller, request, prices, now()).is_ok()
        })
    };
    let arrived = AtomicU64::new(0);
    let each_key_once = || {
        let round = |key| {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < 2 * u64::from(key) + 2 {
                std::thread::yield_now();
            }
            u32::from(is_admitted(key))
        };
        (0..ROUNDS).map(round).sum::<u32>()
    };
    let admitted = std::thread::scope(|scope| {
        let threads = [scope.spawn(each_key_once), scope.spawn(each_key_once)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(admitted.iter().sum::<u32>(), ROUNDS);
    assert!(is_admitted(ROUNDS), "one is left of the wide one");
    assert!(!is_admitted(ROUNDS + 1), "and no more");
}

#[test]
fn every_model_that_may_answer_has_a_place_in_budgets_and_a_price() {
    let engine = engine();
    let opus = |mut policy: PolicySource| {
        policy.applies_to = json!({"models": ["opus"]});
        policy
    };
    let of_opus = opus(policy(1, "usage", json!({"max_requests_per_day": 2})));
    let each = json!({"max_requests_per_day": 3, "per": ["key", "model"]});
    put(&engine, vec![of_opus, policy(2, "usage", each)]);
    let falls_back = json!({"model": "claude-haiku-4-5", "fallbacks": ["claude-opus-5", "claude-opus-5-20260101", "claude-opus-4-8"]});
    let first = admit(&engine, &caller(OWNER), &falls_back).unwrap();
    let second = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let denial = admit(&engine, &caller(OWNER), &falls_back).unwrap_err();
    assert_eq!(denial.policy.unwrap().1.as_ref(), "policy 1");
    drop(first);
    drop(second);
    for _ in 0..3 {
        let haiku = admit(&engine, &caller(OWNER), &falls_back).unwrap();
        let spend = Spend {
            model: "claude-haiku-4-5",
            ..used(10, 10)
        };
        engine.settle(haiku, &spend);
    }
    let denial = admit(&engine, &caller(OWNER), &falls_back).unwrap_err();
    assert_eq!(denial.policy.unwrap().1.as_ref(), "policy 2");
    let left = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    assert_eq!(
        left.notes.left.requests.unwrap().remaining,
        1,
        "opus has used nothing"
    );

    put(
        &engine,
        vec![policy(3, "usage", json!({"max_cost_per_day_usd": 5}))],
    );
    let unpriced = json!({"model": "claude-haiku-4-5", "fallbacks": ["nobody-knows-it-1"]});
    let denial = admit(&engine, &caller(OWNER), &unpriced).unwrap_err();
    assert_eq!(denial.reason, Reason::ModelUnpriced);
    assert!(
        denial.message.contains("nobody-knows-it-1"),
        "{}",
        denial.message
    );
}

#[test]
fn counting_tokens_teaches_nothing_about_answers() {
    let engine = engine();
    put(
        &engine,
        vec![policy(
            1,
            "usage",
            json!({"max_output_tokens_per_day": 1_000}),
        )],
    );
    let prices = &PriceBook::embedded().unwrap();
    for _ in 0..200 {
        let counted = with_request(&json!({}), |request| {
            let request = Request {
                endpoint: Endpoint::CountTokens,
                ..*request
            };
            engine
                .admit(&caller(OWNER), &request, prices, now())
                .unwrap()
        });
        engine.settle(
            counted,
            &Spend {
                good: true,
                ..used(0, 0)
            },
        );
    }
    let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    assert_eq!(admitted.notes.left.output_tokens.unwrap().remaining, 500);
}

#[test]
fn a_rate_goes_on_while_its_policy_cannot_be_understood() {
    let rate = |applies_to: Value| {
        let mut policy = policy(1, "usage", json!({"max_requests_per_minute": 1}));
        policy.applies_to = applies_to;
        policy
    };
    let engine = engine();
    put(&engine, vec![rate(json!({}))]);
    drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    for _ in 0..2 {
        put(&engine, vec![rate(json!({"users": "nobody"}))]);
        let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
        assert_eq!(denial.reason, Reason::RateLimited);
    }
}

#[test]
fn a_rate_warns_from_a_share_on() {
    let engine = engine();
    let warn = json!({"max_requests_per_minute": 5, "action": "warn"});
    put(&engine, vec![policy(1, "usage", warn)]);
    let warnings: Vec<_> = (0..6)
        .map(|_| {
            let notes = admit(&engine, &caller(OWNER), &json!({})).unwrap().notes;
            notes
                .warnings
                .into_iter()
                .map(|note| note.message)
                .collect::<Vec<_>>()
                .join("; ")
        })
        .collect();
    let (some, all) = (
        "80 % of 5 requests per minute are used",
        "5 requests per minute are used up",
    );
    assert_eq!(warnings, ["", "", "", some, some, all]);
}

/// What an explanation holds nobody else may see: others would be refused for it.
#[test]
fn an_explanation_is_in_nobodys_way() {
    let engine = engine();
    put(
        &engine,
        vec![policy(1, "usage", json!({"max_requests_per_day": 1}))],
    );
    let prices = &PriceBook::embedded().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                with_request(&json!({}), |request| {
                    engine
                        .explain(&caller(OWNER), request, prices, now())
                        .unwrap()
                });
            }
        });
        for _ in 0..2_000 {
            drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
        }
    });
}

/// Its counters are made from what the whole organization used.
#[test]
fn a_projects_limit_of_each_user_or_key_counts_that_project_only() {
    const OTHER: ProjectId = ProjectId(Uuid::from_u128(0xb2));
    let in_other = Caller {
        project_id: OTHER,
        ..caller(OWNER)
    };
    let other = Arc::new(ProjectSource {
        id: OTHER,
        slug: "other".to_owned(),
        ..project(Vec::new())
    });
    for per in ["user", "key"] {
        let rules = json!({"max_requests_per_day": 2, "per": per});
        let limited = Arc::new(project(vec![policy(1, "usage", rules)]));
        let projects = [limited, Arc::clone(&other)];
        let engine = engine();
        engine.replace(&Arc::new(org(Vec::new())), &projects);
        for _ in 0..5 {
            let admitted = admit(&engine, &in_other, &json!({})).unwrap();
            engine.settle(admitted, &used(900, 5));
        }
        // As a process that begins learns of it.
        let begun = super::engine();
        begun.replace(&Arc::new(org(Vec::new())), &projects);
        begun.add_settled(&[Settled {
            org_id: ORG,
            project_id: OTHER,
            key_id: Some(in_other.key_id),
            user_id: in_other.user_id,
            model: "claude-opus-5".to_owned(),
            window: Window::Day,
            index: Window::Day.index(now()),
            amounts: Amounts {
                requests: 5,
                ..used(4_500, 25).amounts
            },
        }]);
        for engine in [engine, begun] {
            let limits = |project_id| {
                let of = LimitsOf {
                    org_id: ORG,
                    whom: Whom {
                        project_id: Some(project_id),
                        user_id: in_other.user_id,
                        key_id: Some(in_other.key_id),
                    },
                    test: false,
                    model: None,
                    most: 10,
                };
                let limits = engine.limits(&of, now()).limits.into_iter();
                limits
                    .map(|it| it.standing.unwrap().spent)
                    .collect::<Vec<_>>()
            };
            assert_eq!((limits(PROJECT), limits(OTHER)), (vec![0], vec![]), "{per}");
            for spent in 1..=2 {
                let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
                engine.settle(admitted, &used(900, 5));
                assert_eq!(limits(PROJECT), [spent], "{per}");
            }
            let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
            assert_eq!(denial.reason, Reason::BudgetExhausted, "{per}");
            drop(admit(&engine, &in_other, &json!({})).unwrap());
        }
    }
}

/// It keeps its id, and counts something else from then on.
#[test]
fn a_limit_that_becomes_a_projects_counts_that_project_only() {
    const OTHER: ProjectId = ProjectId(Uuid::from_u128(0xb2));
    let other = Arc::new(ProjectSource {
        id: OTHER,
        slug: "other".to_owned(),
        ..project(Vec::new())
    });
    let limit = policy(
        1,
        "usage",
        json!({"max_requests_per_day": 2, "per": "user"}),
    );
    let engine = engine();
    let projects = [Arc::new(project(Vec::new())), Arc::clone(&other)];
    engine.replace(&Arc::new(org(vec![limit.clone()])), &projects);
    let in_other = Caller {
        project_id: OTHER,
        ..caller(OWNER)
    };
    for _ in 0..2 {
        let admitted = admit(&engine, &in_other, &json!({})).unwrap();
        engine.settle(admitted, &used(900, 5));
    }
    admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    let projects = [Arc::new(project(vec![limit.clone()])), Arc::clone(&other)];
    engine.replace(&Arc::new(org(Vec::new())), &projects);
    let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(admitted, &used(900, 5));
    // And back.
    let projects = [Arc::new(project(Vec::new())), other];
    engine.replace(&Arc::new(org(vec![limit])), &projects);
    let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
    assert_eq!(denial.exhausted.unwrap().spent, "3");
}

/// As many as a request may name, each twice: comparing each with all before it takes minutes.
#[test]
fn thousands_of_models_are_counted_one_by_one() {
    let engine = engine();
    let mut of_member = policy(1, "usage", json!({"max_tokens_per_day": 1}));
    of_member.applies_to = json!({"users": [MEMBER]});
    let of_each = json!({"max_requests_per_minute": 2, "per": ["user", "model"]});
    let each_day = json!({"max_requests_per_day": 2, "per": ["user", "model"]});
    let limits = vec![
        of_member,
        policy(2, "usage", of_each),
        policy(3, "usage", each_day),
    ];
    put(&engine, limits);
    let names: Vec<_> = (0..5_000)
        .flat_map(|n| [format!("a-{n}"), format!("A-{n}")])
        .collect();
    let first = admit(&engine, &caller(OWNER), &json!({"fallbacks": names})).unwrap();
    for name in [names.first(), names.last()] {
        let alone = json!({"model": name});
        let second = admit(&engine, &caller(OWNER), &alone).unwrap();
        assert_eq!(second.notes.left.requests.unwrap().remaining, 0);
        drop(second);
        let denial = admit(&engine, &caller(OWNER), &alone).unwrap_err();
        assert_eq!(denial.reason, Reason::RateLimited);
    }
    drop(first);
}
