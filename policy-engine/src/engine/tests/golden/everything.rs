//! An organization with every kind of rule at once.

use super::*;

/// An organization with every kind of rule.
fn furnished() -> Engine {
    let mut usage = policy(
        1,
        "usage",
        json!({"max_cost_per_day_usd": "1.50", "max_tokens_per_month": 100_000}),
    );
    usage.priority = 200;
    let mut of_viewers = policy(2, "access", json!({"allowed_endpoints": ["models"]}));
    of_viewers.applies_to = json!({"roles": ["viewer"]});
    let mut draft = policy(3, "access", json!({"allowed_models": []}));
    draft.status = PolicyStatus::Draft;
    let mut of_haiku = policy(4, "compliance", json!({"required_metadata": ["user_id"]}));
    of_haiku.applies_to = json!({"models": ["haiku"]});
    let mut org = org(vec![of_viewers, draft, of_haiku, usage]);
    org.subscription = Some(SubscriptionSource {
        status: "past_due".to_owned(),
        limits: json!({"max_tokens_per_month": 1_000_000, "max_users": 5}),
    });
    org.settings = json!({"require_mcp_approval": true});
    let mut project = project(vec![
        policy(5, "access", json!({"max_tokens": 4_096, "action": "warn"})),
        policy(6, "access", json!({"blocked_mcp_tools": ["delete_*"]})),
        policy(
            7,
            "usage",
            json!({"max_output_tokens_per_hour": 400, "action": "soft_limit", "per": "key"}),
        ),
        policy(
            8,
            "custom",
            json!({"expression": "user.role != 'owner' && request.max_tokens > 10000", "message": "ask an owner"}),
        ),
        policy(
            9,
            "usage",
            json!({"max_requests_per_day": 1, "action": "warn", "warn_at_percent": 50}),
        ),
    ]);
    project.settings = json!({"allowed_models": ["opus", "haiku", "claude-unheard-of-1"]});
    project.quotas = json!({"max_tokens_per_day": null, "max_cost_per_day_usd": 5, "max_requests_per_minute": 100});
    project.mcp_servers = vec![
        server(
            1,
            "git",
            "approved",
            json!({"allowed_roles": ["admin", "developer"], "rate_limit_per_minute": 2}),
        ),
        server(2, "jira", "pending", json!({})),
        server(
            3,
            "old",
            "deprecated",
            json!({"requires_approval_per_use": true}),
        ),
    ];
    let engine = engine();
    let faults = engine.replace(&Arc::new(org), &[Arc::new(project)]);
    assert_eq!(faults, []);
    engine
}

#[test]
fn decisions_and_their_reasons() {
    let servers = |name: &str| json!({"mcp_servers": [{"type": "url", "name": name, "url": "u"}]});
    let haiku = "claude-haiku-4-5";
    let tool = |name: &str| json!({"tools": [{ "name": name }]});
    let mut text = String::new();
    for asked in [
        asked(json!({})),
        asked_by("member", MEMBER, json!({"max_tokens": 20_000})),
        asked(json!({"max_tokens": 20_000})),
        asked(json!({"model": "claude-sonnet-5"})),
        asked(json!({ "model": haiku })),
        asked(json!({"model": haiku, "metadata": {"user_id": "u"}})),
        asked(json!({"model": "claude-unheard-of-1"})),
        asked_by("member", MEMBER, servers("git")),
        asked_by("stranger", UserId(Uuid::nil()), servers("git")),
        asked(servers("jira")),
        asked(servers("old")),
        asked(servers("new")),
        asked(tool("mcp__git__force_push")),
        asked(tool("mcp__git__delete_branch")),
        asked(tool("mcp__new__look")),
    ] {
        text.push_str(&play(&furnished(), &[asked], EXPECTED));
    }
    let mut test = asked(json!({}));
    (test.who, test.caller.test) = ("a key for tests", true);
    let nearly_all = Amounts {
        cost: 1_495_000_000_000,
        ..EXPECTED
    };
    let requests = [asked(json!({})), asked(json!({})), test];
    writeln!(text, "using 1.495 dollars each").unwrap();
    text.push_str(&play(&furnished(), &requests, nearly_all));
    insta::assert_snapshot!(text);
}
