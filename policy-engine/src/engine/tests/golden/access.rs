//! Every field of access policies, and every action.

use super::*;

fn endpoint(endpoint: Endpoint, reads: bool) -> Asked {
    Asked {
        endpoint,
        reads,
        ..asked(json!({}))
    }
}

fn from(address: &str) -> Asked {
    let mut asked = asked(json!({}));
    asked.caller.address = address.parse().unwrap();
    asked
}

#[test]
fn models() {
    let only = || json!({"allowed_models": ["sonnet", "claude-opus-5"]});
    let none = || json!({"denied_models": ["claude-haiku-*", "claude-opus-5-20260101"]});
    let model = |name: &str| asked(json!({ "model": name }));
    insta::assert_snapshot!(rows(
        "access",
        vec![
            (only(), model("claude-opus-5")),
            (only(), model("claude-opus-5-20260101")),
            (only(), model("Claude-Sonnet-4-5")),
            (only(), model("claude-opus-4-1")),
            (none(), model("claude-opus-5")),
            (none(), model("claude-opus-5-20260101")),
            (none(), model("claude-haiku-4-5")),
            (
                only(),
                asked(json!({"fallbacks": [{"model": "claude-sonnet-5"}, "claude-haiku-4-5"]}))
            ),
            (only(), asked(json!({"fallbacks": "default"}))),
            (none(), asked(json!({"fallbacks": [{"model": "default"}]}))),
            (
                json!({"allowed_models": ["*"]}),
                asked(json!({"fallbacks": "default"}))
            ),
            (only(), asked(json!({"fallbacks": 5}))),
            (
                none(),
                asked(
                    json!({"tools": [{"type": "advisor_20260301", "model": "claude-haiku-4-5"}]})
                )
            ),
            (json!({"allowed_models": []}), asked(json!({}))),
            (only(), endpoint(Endpoint::Models, true)),
        ]
    ));
}

#[test]
fn endpoints_and_sizes() {
    let mut table = Vec::new();
    for of in Endpoint::ALL {
        let rules = json!({"allowed_endpoints": ["messages", of.label()]});
        table.push((rules, endpoint(of, false)));
        let rules = json!({"denied_endpoints": [of.label()]});
        table.push((rules, endpoint(of, true)));
    }
    table.extend([
        (
            json!({"allowed_endpoints": ["messages"]}),
            endpoint(Endpoint::Batches, false),
        ),
        (
            json!({"denied_endpoints": ["batches"]}),
            endpoint(Endpoint::Messages, false),
        ),
        (json!({"max_tokens": 500}), asked(json!({}))),
        (json!({"max_tokens": 499}), asked(json!({}))),
        (
            json!({"max_tokens": 499}),
            endpoint(Endpoint::Messages, true),
        ),
    ]);
    insta::assert_snapshot!(rows("access", table));
}

#[test]
fn betas_addresses_and_hours() {
    let beta = |betas| Asked {
        betas,
        ..asked(json!({}))
    };
    let allowed = || json!({"allowed_betas": ["context-*"]});
    let denied = || json!({"denied_betas": ["files-*"]});
    let inside = || json!({"allowed_ips": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]});
    let outside = || json!({"denied_ips": ["10.0.0.0/8"]});
    let hours = |days: Value, from: &str, to: &str| json!({"allowed_hours": [{"days": days, "from": from, "to": to}]});
    insta::assert_snapshot!(rows(
        "access",
        vec![
            (allowed(), beta(&[])),
            (allowed(), beta(&["context-1m-2025-08-07"])),
            (
                allowed(),
                beta(&["context-1m-2025-08-07", "fast-mode-2026-02-01"])
            ),
            (denied(), beta(&["context-1m-2025-08-07"])),
            (denied(), beta(&["files-api-2025-04-14"])),
            (inside(), from("10.1.2.3")),
            (inside(), from("2001:db8::5")),
            (inside(), from("::ffff:192.0.2.7")),
            (inside(), from("192.0.2.8")),
            (outside(), from("10.9.9.9")),
            (outside(), from("192.0.2.8")),
            (hours(json!(null), "09:00", "10:00"), asked(json!({}))),
            (hours(json!(["wed"]), "09:30", "24:00"), asked(json!({}))),
            (hours(json!(["tue"]), "22:00", "09:31"), asked(json!({}))),
            (hours(json!(["wed"]), "22:00", "09:31"), asked(json!({}))),
            (hours(json!(null), "08:00", "09:30"), asked(json!({}))),
            (
                hours(json!(null), "08:00", "09:30"),
                endpoint(Endpoint::Models, true)
            ),
        ]
    ));
}

#[test]
fn mcp() {
    let servers =
        |name: &str| asked(json!({"mcp_servers": [{"type": "url", "name": name, "url": "u"}]}));
    let named = |server: &str, tool: &str| {
        let configuration = json!({"allowed_tools": [tool]});
        asked(json!({"mcp_servers": [{"name": server, "tool_configuration": configuration}]}))
    };
    let toolset = |configs: Value| {
        asked(
            json!({"tools": [{"type": "mcp_toolset", "mcp_server_name": "github",
            "default_config": {"enabled": false}, "configs": configs}]}),
        )
    };
    let client = |name: &str| asked(json!({"tools": [{"name": name}]}));
    let only = || json!({"allowed_mcp_servers": ["git*"]});
    let none = || json!({"blocked_mcp_servers": ["git*"]});
    let reads = || json!({"allowed_mcp_tools": ["get_*", "jira/*"]});
    let deletes = || json!({"blocked_mcp_tools": ["delete_*", "jira/*"]});
    insta::assert_snapshot!(rows(
        "access",
        vec![
            (only(), servers("github")),
            (only(), servers("jira")),
            (only(), client("mcp__jira__get_issue")),
            (only(), client("Bash")),
            (none(), servers("github")),
            (none(), client("mcp__github__get_repo")),
            (none(), servers("jira")),
            (reads(), client("mcp__github__get_repo")),
            (reads(), client("mcp__github__delete_repo")),
            (reads(), named("github", "get_repo")),
            (reads(), servers("jira")),
            (reads(), servers("github")),
            (deletes(), client("mcp__github__delete_repo")),
            (
                deletes(),
                toolset(json!({"delete_repo": {"enabled": true}}))
            ),
            (
                deletes(),
                toolset(json!({"delete_repo": {"enabled": false}}))
            ),
            (deletes(), named("jira", "get_issue")),
            (deletes(), servers("jira")),
            (deletes(), servers("github")),
            (deletes(), client("delete_repo")),
            (deletes(), asked(json!({"tools": {}}))),
        ]
    ));
}

#[test]
fn actions() {
    let rules = |action: &str| json!({"denied_models": ["opus"], "action": action});
    insta::assert_snapshot!(rows(
        "access",
        vec![
            (json!({"denied_models": ["opus"]}), asked(json!({}))),
            (rules("block"), asked(json!({}))),
            (rules("warn"), asked(json!({}))),
            (rules("log"), asked(json!({}))),
        ]
    ));
}
