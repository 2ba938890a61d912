use serde_json::json;

use super::*;

#[test]
fn mcp_servers_are_held_to_both_lists() {
    let some = json!({"allowed_mcp_servers": ["git*"]});
    let none = json!({"blocked_mcp_servers": ["git*"]});
    let other = Some((
        Reason::McpServerNotApproved,
        "the MCP server jira is not among those allowed",
    ));
    let blocked = Some((
        Reason::McpServerNotApproved,
        "the MCP server github is denied",
    ));
    for (rules, body, expected) in [
        (&some, r#"{"mcp_servers":[{"name":"github"}]}"#, None),
        (
            &some,
            r#"{"mcp_servers":[{"name":"github"},{"name":"jira"}]}"#,
            other,
        ),
        (&some, r#"{"tools":[{"name":"mcp__jira__create"}]}"#, other),
        (
            &some,
            r#"{"tools":[{"type":"mcp_toolset","mcp_server_name":"jira"}]}"#,
            other,
        ),
        (&some, r#"{"tools":[{"name":"Bash"}]}"#, None),
        (&some, r#"{"model":"x"}"#, None),
        (
            &none,
            r#"{"mcp_servers":[{"name":"github","tool_configuration":{"enabled":false}}]}"#,
            blocked,
        ),
        (&none, r#"{"mcp_servers":[{"name":"jira"}]}"#, None),
        (
            &none,
            r#"{"mcp_servers":{}}"#,
            Some((
                Reason::PolicyDenied,
                "the tools of the request can't be read",
            )),
        ),
    ] {
        check(rules, body, expected);
    }
}

#[test]
fn mcp_tools_are_held_to_both_lists() {
    let blocked = |message| Some((Reason::ToolBlocked, message));
    let no_deletes = json!({"blocked_mcp_tools": ["delete_*"]});
    let no_github = json!({"blocked_mcp_tools": ["github/*"]});
    let no_repo = json!({"blocked_mcp_tools": ["github/delete_repo"]});
    let nothing = json!({"blocked_mcp_tools": ["*"]});
    let reads = json!({"allowed_mcp_tools": ["get_*", "jira/*"]});
    let whole = |server: &str| format!(r#"{{"mcp_servers":[{{"name":"{server}"}}]}}"#);
    let named = |server: &str, tool: &str| {
        format!(
            r#"{{"mcp_servers":[{{"name":"{server}","tool_configuration":{{"allowed_tools":["{tool}"]}}}}]}}"#
        )
    };
    let client = |name: &str| format!(r#"{{"tools":[{{"name":"{name}"}}]}}"#);
    let all = "the request enables every tool of the MCP server github, which is denied";
    let all_other =
        "the request enables every tool of the MCP server github, which is not among those allowed";
    let delete = "the MCP tool github/delete_repo is denied";
    let create = "the MCP tool github/create is not among those allowed";
    for (rules, body, expected) in [
        (
            &no_deletes,
            client("mcp__github__delete_repo"),
            blocked(delete),
        ),
        (&no_deletes, client("mcp__github__get"), None),
        (&no_deletes, client("delete_repo"), None),
        (&no_deletes, named("github", "delete_repo"), blocked(delete)),
        (&no_deletes, whole("github"), None),
        (&no_github, whole("github"), blocked(all)),
        (&no_github, whole("jira"), None),
        (
            &no_github,
            client("mcp__github__delete_repo"),
            blocked(delete),
        ),
        (&no_repo, whole("github"), None),
        (&no_repo, named("github", "delete_repo"), blocked(delete)),
        (&no_repo, named("jira", "delete_repo"), None),
        (&nothing, whole("github"), blocked(all)),
        (
            &nothing,
            client("mcp__github__delete_repo"),
            blocked(delete),
        ),
        (&nothing, client("Bash"), None),
        (&reads, client("mcp__github__get_x"), None),
        (&reads, client("mcp__github__create"), blocked(create)),
        (&reads, client("mcp__jira__create"), None),
        (&reads, whole("jira"), None),
        (&reads, whole("github"), blocked(all_other)),
        (&json!({"allowed_mcp_tools": ["*"]}), whole("github"), None),
        (&json!({"allowed_mcp_tools": []}), client("Bash"), None),
    ] {
        check(rules, &body, expected);
    }
}

#[test]
fn too_many_tools_are_refused_by_rules_about_tools() {
    let body = format!(
        r#"{{"tools":[{}]}}"#,
        vec![r#"{"name":"x"}"#; 10_001].join(",")
    );
    let expected = Some((
        Reason::PolicyDenied,
        "the request names more than 10000 tools or MCP servers",
    ));
    check(&json!({"blocked_mcp_tools": ["x"]}), &body, expected);
    check(&json!({"max_tokens": 5}), &body, None);
}
