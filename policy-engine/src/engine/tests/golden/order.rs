//! Which of several rules decides.

use super::*;

fn always(action: &str, message: &str) -> Value {
    json!({"expression": "true", "action": action, "message": message})
}

fn show(rows: Vec<(&str, World)>) -> String {
    let mut text = String::new();
    for (title, world) in rows {
        let played = play(&world.engine(), &[asked(json!({}))], EXPECTED);
        writeln!(text, "{title}\n{played}").unwrap();
    }
    text
}

#[test]
fn precedence() {
    let block = |message: &str| always("block", message);
    let priority = |priority| move |policy: &mut PolicySource| policy.priority = priority;
    insta::assert_snapshot!(show(vec![
        (
            "the organization's before the project's, whatever their priority",
            World::new()
                .project("custom", block("project"), priority(500))
                .org("custom", block("organization"), priority(-1)),
        ),
        (
            "of one owner the higher priority first",
            World::new()
                .org("custom", always("warn", "middle"), plain)
                .org("custom", block("low"), priority(99))
                .org("custom", always("warn", "high"), priority(101)),
        ),
        (
            "of one priority the older first",
            World::new()
                .project("custom", block("newer"), |policy| policy
                    .created_unix_micros =
                    9)
                .project("custom", block("older"), plain),
        ),
        (
            "of one age the smaller id first",
            World::new()
                .project("custom", block("first"), |policy| policy
                    .created_unix_micros =
                    0)
                .project("custom", block("second"), |policy| policy
                    .created_unix_micros =
                    0),
        ),
        (
            "what isn't refused by one is by another, and all warnings are told",
            World::new()
                .org("custom", always("warn", "one"), plain)
                .org("custom", always("log", "two"), plain)
                .project("custom", always("warn", "three"), plain)
                .project("custom", block("four"), |policy| policy.priority = 1)
                .project("custom", always("warn", "never asked"), |policy| policy
                    .priority =
                    0),
        ),
        (
            "what one allows is no use against another",
            World::new()
                .org("access", json!({"allowed_models": ["opus"]}), plain)
                .project("access", json!({"denied_models": ["opus"]}), plain),
        ),
    ]));
}

#[test]
fn states() {
    let status = |status| move |policy: &mut PolicySource| policy.status = status;
    let block = || always("block", "no");
    insta::assert_snapshot!(show(vec![
        (
            "active",
            World::new().org("custom", block(), status(PolicyStatus::Active)),
        ),
        (
            "draft",
            World::new().org("custom", block(), status(PolicyStatus::Draft)),
        ),
        (
            "disabled",
            World::new().project("custom", block(), status(PolicyStatus::Disabled)),
        ),
        (
            "a disabled limit",
            World::new().project(
                "usage",
                json!({"max_requests_per_day": 0}),
                status(PolicyStatus::Disabled),
            ),
        ),
        (
            "a draft with faults",
            World::new().project("access", json!([]), status(PolicyStatus::Draft)),
        ),
    ]));
}

/// Each of them refuses; one after the other is taken away.
#[test]
fn the_whole_way() {
    let mut text = String::new();
    for gone in 0..9 {
        let mut world = World::new();
        if gone < 1 {
            world.org.subscription = Some(SubscriptionSource {
                status: "canceled".to_owned(),
                limits: json!({}),
            });
        }
        if gone < 2 {
            world = world.project("custom", json!({"expression": "tru"}), plain);
        }
        if gone < 3 {
            world = world.org("custom", always("block", "organization"), plain);
        }
        if gone < 4 {
            world.projects[0].settings = json!({"allowed_models": ["haiku"]});
        }
        if gone < 5 {
            world.org.settings = json!({"require_mcp_approval": true});
        }
        if gone < 6 {
            world = world.project("custom", always("block", "project"), plain);
        }
        if gone < 7 {
            world = world.project("usage", json!({"max_tokens_per_day": 1}), plain);
        }
        if gone < 8 {
            world = world.org("usage", json!({"max_requests_per_minute": 0}), plain);
        }
        let (engine, faults) = world.engine_and_faults();
        for faults in faults {
            for fault in faults.faults {
                writeln!(text, "  ({fault})").unwrap();
            }
        }
        let asked = asked(json!({"mcp_servers": [{"name": "git"}]}));
        writeln!(text, "{}", play(&engine, &[asked], EXPECTED)).unwrap();
    }
    insta::assert_snapshot!(text);
}

/// The subscription's, the organization's, the project's, the quotas; all of them or none.
#[test]
fn budgets_and_rates() {
    let mut world = World::new()
        .project(
            "usage",
            json!({"max_requests_per_day": 2, "max_requests_per_minute": 9}),
            |policy| policy.priority = 900,
        )
        .org(
            "usage",
            json!({"max_tokens_per_day": 3_000, "max_requests_per_minute": 8}),
            plain,
        );
    world.org.subscription = Some(SubscriptionSource {
        status: "active".to_owned(),
        limits: json!({"max_tokens_per_month": 5_000}),
    });
    world.projects[0].quotas = json!({"max_tokens_per_day": 2_000, "max_cost_per_day_usd": "1", "max_requests_per_minute": 7});
    let requests = [asked(json!({})), asked(json!({})), asked(json!({}))];
    insta::assert_snapshot!(play(&world.engine(), &requests, EXPECTED));
}
