//! What decides beside policies: a project's settings and quotas, and the subscription.

use super::*;

fn table(rows: Vec<(String, World)>) -> String {
    let mut text = String::new();
    for (title, world) in rows {
        writeln!(text, "{title}").unwrap();
        let (engine, faults) = world.engine_and_faults();
        for fault in faults.iter().flat_map(|it| &it.faults) {
            writeln!(text, "  ({fault})").unwrap();
        }
        let requests = [asked(json!({})), asked(json!({}))];
        text.push_str(&play(&engine, &requests, EXPECTED));
    }
    text
}

#[test]
fn of_projects() {
    let settings = |settings: Value| {
        let title = format!("settings {settings}");
        let mut world = World::new();
        world.projects[0].settings = settings;
        (title, world)
    };
    let quotas = |quotas: Value| {
        let title = format!("quotas {quotas}");
        let mut world = World::new();
        world.projects[0].quotas = quotas;
        (title, world)
    };
    insta::assert_snapshot!(table(vec![
        settings(json!(null)),
        settings(json!({"theme": "dark"})),
        settings(json!({"allowed_models": null})),
        settings(json!({"allowed_models": ["*"]})),
        settings(json!({"allowed_models": ["opus"]})),
        settings(json!({"allowed_models": ["haiku"]})),
        settings(json!({"allowed_models": []})),
        settings(json!({"allowed_models": "opus"})),
        quotas(json!(null)),
        quotas(json!({"max_tokens_per_day": null, "max_tokens_per_week": 0})),
        quotas(json!({"max_tokens_per_day": 1_000})),
        quotas(json!({"max_cost_per_day_usd": 0.02})),
        quotas(json!({"max_requests_per_minute": 1})),
        quotas(json!({"max_requests_per_minute": -1})),
    ]));
}

#[test]
fn of_subscriptions() {
    let subscription = |status: &str, limits: Value| {
        let title = format!("{status} {limits}");
        let mut world = World::new();
        world.org.subscription = Some(SubscriptionSource {
            status: status.to_owned(),
            limits,
        });
        (title, world)
    };
    insta::assert_snapshot!(table(vec![
        subscription("active", json!({})),
        subscription("active", json!({"seats": 5, "max_tokens_per_month": 1_000})),
        subscription("active", json!({"max_tokens_per_month": "many"})),
        subscription("trialing", json!(null)),
        subscription("past_due", json!({})),
        subscription("canceled", json!({})),
    ]));
}
