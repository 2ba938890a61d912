//! Expressions: every variable, every action, and what fails.

use super::*;

fn full() -> Asked {
    Asked {
        betas: &["context-1m-2025-08-07"],
        ..asked(
            json!({"stream": true, "inference_geo": "us", "service_tier": "auto", "speed": "fast",
            "tools": [{"name": "Bash"}, {"name": "mcp__github__get"}], "mcp_servers": [{"name": "jira"}],
            "metadata": {"user_id": "u"}}),
        )
    }
}

/// Each is true of the request.
#[test]
fn variables() {
    let expressions = [
        "request.model == 'claude-opus-5'",
        "request.endpoint == 'messages'",
        "request.max_tokens == 500",
        "request.stream",
        "request.bytes == 300",
        "request.betas == ['context-1m-2025-08-07']",
        "request.tools == ['Bash', 'mcp__github__get']",
        "request.mcp_servers == ['github', 'jira']",
        "request.metadata.user_id == 'u'",
        "request.inference_geo == 'us'",
        "request.service_tier == 'auto'",
        "request.speed == 'fast'",
        "key.id == '00000000-0000-0000-0000-00000000000d'",
        "user.id == '00000000-0000-0000-0000-0000000000c1'",
        "user.role == 'owner'",
        "project.id == '00000000-0000-0000-0000-00000000000b'",
        "project.slug == 'website'",
        "organization.id == '00000000-0000-0000-0000-00000000000a'",
        "organization.slug == 'acme'",
        "client.ip == '10.1.2.3'",
        "time.hour == 9",
        "time.weekday == 3",
        "time.unix == 1795599000",
    ];
    let mut text = String::new();
    for expression in expressions {
        let decide = |expression: String| {
            let rules = json!({ "expression": expression });
            let engine = World::new().project("custom", rules, plain).engine();
            told(&full().admit(&engine))
        };
        writeln!(text, "{expression}").unwrap();
        writeln!(text, "  -> {}", decide(expression.to_owned())).unwrap();
        assert_eq!(decide(format!("!({expression})")), "admitted");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn actions_messages_and_failures() {
    let rules = |expression: &str, action: &str| json!({"expression": expression, "action": action, "message": "ask an admin"});
    let long = "request.max_tokens > 400 && !(user.role in ['admin'])";
    let many = json!({"tools": vec![json!({"name": "a"}); 1_001]});
    let body = || asked(json!({}));
    let mut text = rows(
        "custom",
        vec![
            (json!({"expression": long}), body()),
            (rules(long, "block"), body()),
            (rules(long, "warn"), body()),
            (rules(long, "log"), body()),
            (rules("request.max_tokens > 500", "block"), body()),
            (rules("1 / 0 == 1", "block"), body()),
            (rules("1 / 0 == 1", "warn"), body()),
            (rules("request.model", "block"), body()),
            (rules("request.metadata.team == 'a'", "log"), body()),
            (
                rules("request.tools.exists(t, t == 'b')", "block"),
                asked(json!({"tools": {}})),
            ),
        ],
    );
    let rules = rules("request.tools.exists(t, t == 'b')", "block");
    let engine = World::new().project("custom", rules, plain).engine();
    let denial = asked(many).admit(&engine).unwrap_err();
    writeln!(text, "with 1,001 tools\n    -> {}", denial.message).unwrap();
    insta::assert_snapshot!(text);
}
