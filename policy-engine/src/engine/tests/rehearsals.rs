//! What would be decided under another policy, and what is left of limits: asked, nothing changes.

use std::collections::HashSet;

use super::*;
use crate::budget::Whom;
use crate::limit::Scope;

fn put(engine: &Engine, policies: Vec<PolicySource>) {
    let project = Arc::new(project(Vec::new()));
    assert_eq!(engine.replace(&Arc::new(org(policies)), &[project]), []);
}

fn change(policy: PolicySource) -> PolicyChange {
    PolicyChange::Put {
        project_id: None,
        policy,
    }
}

/// The refusal of a rehearsal, if it refuses.
fn refusal(rehearsal: &Rehearsal) -> Option<Box<Denial>> {
    let prices = &PriceBook::embedded().unwrap();
    let explained = with_request(&json!({}), |request| {
        rehearsal.explain(&caller(OWNER), request, prices, now())
    });
    explained.decided.err()
}

/// What a policy is said to refuse before it is there, and what it refuses once it is.
fn check(used_before: u64, kind: &str, rules: Value) {
    let engine = engine();
    put(&engine, Vec::new());
    for _ in 0..used_before {
        let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
        engine.settle(admitted, &used(1_000, 5));
    }
    let policy = policy(1, kind, rules);
    let before = engine.size();
    let then = engine
        .rehearse(ORG, PROJECT, &change(policy.clone()))
        .unwrap();
    let said = refusal(&then);
    assert!(refusal(&engine.present(ORG, PROJECT).unwrap()).is_none());
    assert_eq!(engine.size(), before, "{policy:?}");
    drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    put(&engine, vec![policy.clone()]);
    let met = admit(&engine, &caller(OWNER), &json!({})).err();
    let told = |denial: &Denial| {
        (
            denial.reason,
            denial.message.clone(),
            denial.exhausted.clone(),
        )
    };
    assert_eq!(
        said.as_deref().map(told),
        met.as_deref().map(told),
        "{policy:?}"
    );
    assert!(said.is_some(), "{policy:?}");
}

#[test]
fn what_a_policy_is_said_to_refuse_it_refuses() {
    check(0, "access", json!({"denied_models": ["opus"]}));
    check(0, "access", json!({"denied_ips": ["10.0.0.0/8"]}));
    check(
        0,
        "custom",
        json!({"expression": "request.max_tokens > 100"}),
    );
    check(0, "usage", json!({"max_requests_per_minute": 0}));
    check(2, "usage", json!({"max_requests_per_day": 2}));
    check(2, "usage", json!({"max_tokens_per_day": 2_500}));
    check(
        2,
        "usage",
        json!({"max_tokens_per_day": 2_500, "per": "key"}),
    );
    check(2, "usage", json!({"max_cost_per_month_usd": "0.01"}));
    let per_user = json!({"max_requests_per_week": 2, "per": "user"});
    check(2, "usage", per_user);
    let per_model = json!({"max_output_tokens_per_day": 1, "max_requests_per_hour": 2, "per": ["organization", "model"]});
    check(2, "usage", per_model);
}

#[test]
fn a_policy_that_is_changed_or_gone_in_a_rehearsal_is_in_force_as_before() {
    let engine = engine();
    put(
        &engine,
        vec![policy(1, "access", json!({"denied_models": ["opus"]}))],
    );
    let allowing = policy(1, "access", json!({"denied_models": ["haiku"]}));
    let id = allowing.id;
    for harmless in [change(allowing), PolicyChange::Remove(id)] {
        let then = engine.rehearse(ORG, PROJECT, &harmless).unwrap();
        assert!(refusal(&then).is_none(), "{harmless:?}");
        let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
        assert_eq!(denial.reason, Reason::ModelNotAllowed);
    }
}

#[test]
fn who_belongs_to_nobody_has_no_rehearsal() {
    let engine = engine();
    put(&engine, Vec::new());
    let change = PolicyChange::Remove(PolicyId(Uuid::nil()));
    let (nobody, nowhere) = (OrgId(Uuid::nil()), ProjectId(Uuid::nil()));
    assert!(engine.rehearse(ORG, nowhere, &change).is_none());
    assert!(engine.rehearse(nobody, PROJECT, &change).is_none());
    assert!(engine.present(nobody, PROJECT).is_none());
    engine.remove(ORG);
    assert!(engine.rehearse(ORG, PROJECT, &change).is_none());
}

fn limits(engine: &Engine, whom: Whom, most: usize) -> Limits {
    let of = LimitsOf {
        org_id: ORG,
        whom,
        test: false,
        model: None,
        most,
    };
    engine.limits(&of, now())
}

/// Scope, spent, held; none where nobody said whose.
type Row = (Scope, Option<(u64, u64)>);

fn rows(limits: &Limits) -> Vec<Row> {
    let rows = limits.limits.iter();
    rows.map(|limit| {
        let standing = limit.standing.map(|it| (it.spent, it.held));
        (limit.scope, standing)
    })
    .collect()
}

#[test]
fn limits_say_what_is_spent_and_held_and_are_apart_where_nobody_said_whose() {
    let engine = engine();
    let per = |number, per: &str| {
        policy(
            number,
            "usage",
            json!({"max_requests_per_day": 10, "per": per}),
        )
    };
    let policies = vec![per(1, "organization"), per(2, "user"), per(3, "key")];
    // Before anything counts them: what was used is in the ledger alone.
    put(&engine, Vec::new());
    let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(admitted, &used(1, 1));
    put(&engine, policies);
    let _running = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let key = caller(OWNER).key_id;
    let of_org = limits(&engine, Whom::default(), 10);
    assert_eq!(
        rows(&of_org),
        [
            (Scope::Organization, Some((1, 1))),
            (Scope::User, None),
            (Scope::Key, None),
        ]
    );
    let whom = Whom {
        project_id: Some(PROJECT),
        user_id: Some(OWNER),
        key_id: Some(key),
    };
    let all = [Scope::Organization, Scope::User, Scope::Key].map(|it| (it, Some((1, 1))));
    assert_eq!(rows(&limits(&engine, whom, 10)), all);
    let cut = limits(&engine, whom, 2);
    assert_eq!((rows(&cut), cut.has_more), (all[..2].to_vec(), true));
    let other = Whom {
        project_id: Some(ProjectId(Uuid::nil())),
        ..Whom::default()
    };
    assert_eq!(limits(&engine, other, 10), Limits::default());
}

#[test]
fn limits_that_are_not_about_somebody_are_not_theirs() {
    let engine = engine();
    let mut of_owner = policy(1, "usage", json!({"max_requests_per_day": 10}));
    of_owner.applies_to = json!({"users": [OWNER]});
    put(&engine, vec![of_owner]);
    let of = |user_id| Whom {
        user_id: Some(user_id),
        ..Whom::default()
    };
    assert_eq!(limits(&engine, of(OWNER), 10).limits.len(), 1);
    assert_eq!(limits(&engine, of(MEMBER), 10).limits.len(), 0);
    let nobodys = Whom {
        key_id: Some(caller(OWNER).key_id),
        ..Whom::default()
    };
    assert_eq!(limits(&engine, nobodys, 10).limits.len(), 0);
}

#[test]
fn a_rate_says_what_is_left_and_takes_nothing() {
    let engine = engine();
    let rate = policy(1, "usage", json!({"max_requests_per_minute": 3}));
    put(&engine, vec![rate]);
    for spent in 0..3 {
        for _ in 0..5 {
            let found = limits(&engine, Whom::default(), 10);
            assert_eq!(rows(&found), [(Scope::Organization, Some((spent, 0)))]);
        }
        drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    }
}

#[test]
fn a_rate_that_nobody_asked_for_long_is_told_as_of_now() {
    let clock = Arc::new(Standing::default());
    let engine = Engine::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let rate = policy(1, "usage", json!({"max_requests_per_minute": 3}));
    put(&engine, vec![rate]);
    for (passed, spent) in [(0, 2), (20, 1), (40, 0)] {
        if passed == 0 {
            drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
            drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
        }
        clock.0.store(passed, Ordering::Relaxed);
        let found = limits(&engine, Whom::default(), 10);
        assert_eq!(rows(&found), [(Scope::Organization, Some((spent, 0)))]);
    }
}

fn past(seconds: i64, model: &str, tokens: u64) -> Past<'_> {
    Past {
        at: Timestamp {
            unix_micros: now().unix_micros + seconds * 1_000_000,
        },
        caller: caller(OWNER),
        endpoint: Endpoint::Messages,
        model,
        used: used(tokens, tokens * 10).amounts,
        is_late: false,
    }
}

fn replay(policies: Vec<PolicySource>) -> Replay {
    let engine = engine();
    put(&engine, policies);
    Replay::new(&engine, ORG, &HashSet::from([PROJECT]), None).unwrap()
}

/// One letter each: admitted, denied, counted.
fn play(replay: &mut Replay, events: &[Past<'_>]) -> String {
    let prices = PriceBook::embedded().unwrap();
    let letter = |replayed| match replayed {
        Replayed::Admitted(_) => 'a',
        Replayed::Denied(_) => 'd',
        Replayed::Counted => 'c',
        Replayed::Unknown => '?',
    };
    events
        .iter()
        .map(|past| letter(replay.next(past, &prices)))
        .collect()
}

#[test]
fn budgets_and_rates_go_by_the_times_of_what_is_replayed() {
    let opus = |seconds, tokens| past(seconds, "claude-opus-5", tokens);
    let day = 86_400;
    let of_day = policy(1, "usage", json!({"max_tokens_per_day": 100}));
    let events = [
        opus(0, 60),
        opus(1, 50),
        opus(2, 40),
        opus(3, 1),
        opus(day, 100),
    ];
    assert_eq!(play(&mut replay(vec![of_day.clone()]), &events), "adada");
    let mut late = opus(0, 60);
    late.is_late = true;
    let events = [late, opus(1, 50), opus(2, 40)];
    assert_eq!(play(&mut replay(vec![of_day]), &events), "cda");
    let rate = policy(1, "usage", json!({"max_requests_per_minute": 2}));
    let events = [0, 0, 0, 29, 31, 31, 120].map(|at| opus(at, 1));
    assert_eq!(play(&mut replay(vec![rate]), &events), "aaddada");
}

#[test]
fn what_nobody_has_kept_is_named_and_passes_not_as_if_it_had_been_looked_at() {
    let policies = vec![
        policy(
            1,
            "access",
            json!({"denied_models": ["opus"], "blocked_mcp_tools": ["bash"]}),
        ),
        policy(2, "compliance", json!({"required_metadata": ["user_id"]})),
        policy(
            3,
            "custom",
            json!({"expression": "request.max_tokens > 5 || client.ip == ''"}),
        ),
        policy(4, "custom", json!({"expression": "user.role == 'member'"})),
    ];
    let mut replay = replay(policies);
    let untold: Vec<_> = replay.untold().iter().map(|it| it.path.clone()).collect();
    assert_eq!(
        untold,
        [
            "$.rules.blocked_mcp_tools",
            "$.rules",
            "$.rules.expression: request.max_tokens",
            "$.rules.expression: client.ip",
        ]
    );
    let events = [past(0, "claude-opus-5", 1), past(0, "claude-haiku-4-5", 1)];
    assert_eq!(play(&mut replay, &events), "da");
}

#[test]
fn who_there_is_is_not_copied_for_a_replay() {
    let engine = engine();
    let mut of_owners = policy(1, "usage", json!({"max_requests_per_day": 0}));
    of_owners.applies_to = json!({"roles": ["owner"]});
    put(&engine, vec![of_owners]);
    let projects = HashSet::from([PROJECT]);
    let mut replay = Replay::new(&engine, ORG, &projects, None).unwrap();
    let people = |engine: &Engine| Arc::clone(&engine.rules(PROJECT).unwrap().people);
    assert!(!people(&engine).roles.is_empty());
    assert!(Arc::ptr_eq(&people(&engine), &people(&replay.engine)));
    let of_owner = past(0, "claude-opus-5", 1);
    let of_member = Past {
        caller: caller(MEMBER),
        ..of_owner
    };
    assert_eq!(play(&mut replay, &[of_owner, of_member]), "da");
}
