//! Projects and organizations that go, and perhaps come back: what their keys use meanwhile isn't lost.

use super::*;

fn limited() -> OrgSource {
    org(vec![policy(
        1,
        "usage",
        json!({"max_tokens_per_day": 5_000, "per": "organization"}),
    )])
}

/// What the day's budget has in the end.
fn spent(engine: &Engine) -> String {
    let last = admit(engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(last, &used(1_000_000, 0));
    let denial = admit(engine, &caller(OWNER), &json!({})).unwrap_err();
    denial.exhausted.unwrap().spent
}

#[test]
fn what_ends_while_its_project_is_gone_counts_when_it_is_back() {
    let engine = engine();
    let projects = [Arc::new(project(Vec::new()))];
    engine.replace(&Arc::new(limited()), &projects);
    let first = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.replace(&Arc::new(limited()), &[]);
    engine.settle(first, &used(7, 0));
    engine.replace(&Arc::new(limited()), &projects);
    assert_eq!(spent(&engine), "1000007");
}

#[test]
fn what_ends_while_its_project_is_gone_counts_without_anything_held_for_it() {
    let engine = engine();
    let projects = [Arc::new(project(Vec::new()))];
    engine.replace(&Arc::new(org(Vec::new())), &projects);
    let first = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.replace(&Arc::new(org(Vec::new())), &[]);
    engine.settle(first, &used(7, 0));
    engine.replace(&Arc::new(limited()), &projects);
    assert_eq!(spent(&engine), "1000007");
}

#[test]
fn what_was_used_outlives_an_organization_that_comes_back() {
    let engine = engine();
    let projects = [Arc::new(project(Vec::new()))];
    engine.replace(&Arc::new(limited()), &projects);
    let first = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let running = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(first, &used(7, 0));
    engine.remove(ORG);
    engine.sweep(now());
    engine.replace(&Arc::new(limited()), &projects);
    engine.settle(running, &used(70, 0));
    assert_eq!(spent(&engine), "1000077");
}

#[test]
fn what_a_project_used_stays_with_the_organization_that_it_was_of() {
    let engine = engine();
    let projects = [Arc::new(project(Vec::new()))];
    engine.replace(&Arc::new(limited()), &projects);
    let running = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let other = OrgSource {
        id: OrgId(Uuid::from_u128(0xaa)),
        ..org(Vec::new())
    };
    engine.replace(&Arc::new(other), &projects);
    engine.settle(running, &used(7, 0));
    engine.replace(&Arc::new(limited()), &projects);
    assert_eq!(spent(&engine), "1000007");
}

#[test]
fn an_organization_that_is_gone_is_forgotten_when_its_windows_are_over() {
    let engine = engine();
    engine.replace(&Arc::new(limited()), &[Arc::new(project(Vec::new()))]);
    let first = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.settle(first, &used(7, 0));
    engine.remove(ORG);
    engine.sweep(now());
    assert_eq!(engine.organizations.len(), 1);
    let later = Timestamp {
        unix_micros: now().unix_micros + 40 * 86_400_000_000,
    };
    engine.sweep(later);
    assert_eq!(engine.organizations.len(), 0);
}

#[test]
fn a_budget_that_goes_and_comes_back_counts_what_was_used_meanwhile() {
    let engine = engine();
    let projects = [Arc::new(project(Vec::new()))];
    engine.replace(&Arc::new(limited()), &projects);
    let running = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    let other = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    engine.replace(&Arc::new(org(Vec::new())), &projects);
    engine.settle(other, &used(7, 0));
    engine.sweep(now());
    engine.replace(&Arc::new(limited()), &projects);
    engine.settle(running, &used(70, 0));
    assert_eq!(spent(&engine), "1000077");
}
