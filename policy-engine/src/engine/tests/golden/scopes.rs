//! Whom policies concern: every field of `applies_to`, for rules and for budgets.

use super::*;

const VIEWER: UserId = UserId(Uuid::from_u128(0xc3));
const UNKNOWN: UserId = UserId(Uuid::from_u128(0xc4));

fn world() -> World {
    let mut world = World::new();
    let roles = &mut world.org.roles;
    roles.insert(VIEWER, "viewer".to_owned());
    roles.insert(UNKNOWN, "a role that nobody knows".to_owned());
    world
}

/// A member asks for another model, and a viewer for none.
fn everybody() -> [Asked; 6] {
    let stranger = UserId(Uuid::nil());
    let nobody = Caller {
        user_id: None,
        ..caller(OWNER)
    };
    [
        asked(json!({})),
        asked_by("member", MEMBER, json!({"model": "claude-haiku-4-5"})),
        asked_by("viewer", VIEWER, json!({"model": null})),
        asked_by("a stranger", stranger, json!({})),
        asked_by("one of an unknown role", UNKNOWN, json!({})),
        Asked {
            who: "a key of nobody",
            caller: nobody,
            ..asked(json!({}))
        },
    ]
}

/// A rule that refuses whomever it concerns, a budget of nothing, and a rate of nothing: they concern the same requests.
#[test]
fn applies_to() {
    let key = caller(OWNER).key_id;
    let other = Uuid::from_u128(0xff);
    let mut text = String::new();
    for applies_to in [
        json!(null),
        json!({}),
        json!({"users": ["all"], "roles": ["*"], "projects": ["all"], "api_keys": ["all"], "models": ["*"]}),
        json!({"users": null}),
        json!({"users": [OWNER]}),
        json!({"users": [other, MEMBER]}),
        json!({"users": [other, "*"]}),
        json!({"users": []}),
        json!({"roles": ["owner"]}),
        json!({"roles": ["admin", "member"]}),
        json!({"roles": ["viewer"]}),
        json!({"roles": []}),
        json!({"projects": ["website"]}),
        json!({"projects": [PROJECT]}),
        json!({"projects": ["shop"]}),
        json!({"api_keys": [key]}),
        json!({"api_keys": [other]}),
        json!({"models": ["opus"]}),
        json!({"models": ["claude-haiku-*", "claude-sonnet-5"]}),
        json!({"models": []}),
        json!({"roles": ["owner", "member"], "models": ["haiku"]}),
        json!({"users": [OWNER], "roles": ["member"]}),
    ] {
        let concerned = |kind: &str, rules: Value| {
            let set = |policy: &mut PolicySource| policy.applies_to = applies_to.clone();
            let engine = world().org(kind, rules, set).engine();
            let refused = everybody()
                .into_iter()
                .filter(|asked| asked.admit(&engine).is_err());
            let who: Vec<_> = refused.map(|asked| asked.who).collect();
            if who.is_empty() {
                return "nobody".to_owned();
            }
            who.join(", ")
        };
        let rule = concerned("custom", json!({"expression": "true"}));
        for limit in ["max_requests_per_day", "max_requests_per_minute"] {
            assert_eq!(
                concerned("usage", json!({ limit: 0 })),
                rule,
                "{applies_to}"
            );
        }
        writeln!(text, "{applies_to}\n  {rule}").unwrap();
    }
    insta::assert_snapshot!(text);
}

/// A rule, a budget and a rate about a model concern whoever names it, wherever that is.
#[test]
fn models_named_beside_the_own_one() {
    let advisor =
        json!([{"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5"}]);
    let mut text = String::new();
    for (kind, rules) in [
        ("access", json!({"max_tokens": 100})),
        ("custom", json!({"expression": "true"})),
        ("usage", json!({"max_tokens_per_day": 0})),
        ("usage", json!({"max_requests_per_minute": 0})),
    ] {
        let about_opus =
            |policy: &mut PolicySource| policy.applies_to = json!({"models": ["opus"]});
        let engine = World::new().org(kind, rules.clone(), about_opus).engine();
        writeln!(text, "{rules}").unwrap();
        let haiku = |mut more: Value| {
            more["model"] = json!("claude-haiku-4-5");
            asked(more)
        };
        let requests = [
            haiku(json!({})),
            haiku(json!({"fallbacks": ["claude-sonnet-5", "claude-opus-5"]})),
            haiku(json!({"fallbacks": [{"model": "claude-opus-5"}]})),
            haiku(json!({"fallbacks": "default"})),
            haiku(json!({ "tools": advisor })),
        ];
        text.push_str(&play(&engine, &requests, EXPECTED));
    }
    insta::assert_snapshot!(text);
}

/// A project's policy is about its requests only.
#[test]
fn a_projects_policy() {
    let shop = ProjectId(Uuid::from_u128(0xb2));
    let warn = || json!({"expression": "true", "action": "warn"});
    let mut world = World::new()
        .project("custom", warn(), plain)
        .org("custom", warn(), |policy| {
            policy.applies_to = json!({"projects": ["shop"]});
        });
    let mut other = project(Vec::new());
    (other.id, other.slug) = (shop, "shop".to_owned());
    world.projects.push(other);
    let mut of_shop = asked(json!({}));
    (of_shop.who, of_shop.caller.project_id) = ("a key for the shop", shop);
    let requests = [asked(json!({})), of_shop];
    insta::assert_snapshot!(play(&world.engine(), &requests, EXPECTED));
}
