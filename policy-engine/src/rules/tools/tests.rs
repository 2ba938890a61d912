use proptest::prelude::*;

use super::super::testing::any_body;
use super::*;

/// `server/tool`, and `server/` for all of a server.
fn enabled(tools: &str, servers: &str) -> Result<Vec<String>, Unreadable> {
    let tools = Tools::of(Some(tools), Some(servers))?;
    let show = |tool: &McpTool<'_>| {
        let name = tool.name.as_deref().unwrap_or_default();
        format!("{}/{name}", tool.server.name)
    };
    Ok(tools.enabled.iter().map(show).collect())
}

#[test]
fn client_tools_are_told_by_their_names() {
    for (tools, expected) in [
        (
            r#"[{"name":"mcp__github__create_issue"}]"#,
            vec!["github/create_issue"],
        ),
        (r#"[{"name":"mcp__a__b__c"}]"#, vec!["a/b__c"]),
        (r#"[{"name":"mcp__plugin_p_s__t"}]"#, vec!["plugin_p_s/t"]),
        (r#"[{"name":"mcp\u005f_a__b"}]"#, vec!["a/b"]),
        (
            r#"[{"name":"mcp__a"},{"name":"Bash"},{"type":"bash_20250124"},{"name":null}]"#,
            vec![],
        ),
        ("[]", vec![]),
    ] {
        assert_eq!(enabled(tools, "[]").unwrap(), expected, "{tools}");
    }
}

#[test]
fn servers_enable_tools_by_name_or_all_they_have() {
    for (servers, expected) in [
        (
            r#"[{"type":"url","url":"https://a","name":"a"}]"#,
            vec!["a/"],
        ),
        (r#"[{"name":"a","tool_configuration":null}]"#, vec!["a/"]),
        (r#"[{"name":"a","tool_configuration":{}}]"#, vec!["a/"]),
        (
            r#"[{"name":"a","tool_configuration":{"enabled":false,"allowed_tools":["x"]}}]"#,
            vec![],
        ),
        (
            r#"[{"name":"a","tool_configuration":{"allowed_tools":["x","y"]}}]"#,
            vec!["a/x", "a/y"],
        ),
        (
            r#"[{"name":"a","tool_configuration":{"allowed_tools":[]}}]"#,
            vec![],
        ),
        (r#"[{}]"#, vec!["/"]),
    ] {
        assert_eq!(enabled("[]", servers).unwrap(), expected, "{servers}");
    }
}

#[test]
fn toolsets_enable_what_they_name_and_the_rest_by_default() {
    let servers = r#"[{"name":"a"}]"#;
    for (toolset, expected) in [
        ("", vec!["a/"]),
        (r#","configs":null,"default_config":null"#, vec!["a/"]),
        (
            r#","configs":{"x":{"enabled":true},"y":{"enabled":false},"z":{}}"#,
            vec!["a/x", "a/z", "a/"],
        ),
        (r#","default_config":{"enabled":false}"#, vec![]),
        (
            r#","default_config":{"enabled":false},"configs":{"x":{"enabled":true},"z":{},"n":null}"#,
            vec!["a/x"],
        ),
        (
            r#","tools":[{"name":"x"},{"name":"y"}],"configs":{"y":{"enabled":false}}"#,
            vec!["a/x", "a/"],
        ),
    ] {
        let tools = format!(r#"[{{"type":"mcp_toolset","mcp_server_name":"a"{toolset}}}]"#);
        assert_eq!(enabled(&tools, servers).unwrap(), expected, "{toolset}");
    }
}

#[test]
fn a_server_without_its_own_toolset_enables_all() {
    let tools =
        r#"[{"type":"mcp_toolset","mcp_server_name":"a","default_config":{"enabled":false}}]"#;
    let servers = r#"[{"name":"a"},{"name":"b"}]"#;
    assert_eq!(enabled(tools, servers).unwrap(), ["b/"]);
}

#[test]
fn a_client_tool_says_nothing_about_a_server_of_its_name() {
    let tools = r#"[{"name":"mcp__a__x"}]"#;
    assert_eq!(enabled(tools, r#"[{"name":"a"}]"#).unwrap(), ["a/x", "a/"]);
}

#[test]
fn names_models_and_servers_are_listed() {
    let tools = r#"[{"name":"Bash"},{"name":"mcp__a__x"},{"type":"advisor","name":"advisor","model":"claude-opus-4"}]"#;
    let tools = Tools::of(Some(tools), Some(r#"[{"name":"b"}]"#)).unwrap();
    assert_eq!(tools.names, ["Bash", "mcp__a__x", "advisor"]);
    assert_eq!(tools.models, ["claude-opus-4"]);
    let server = |name: &'static str, reached| McpServer {
        name: name.into(),
        reached,
    };
    assert_eq!(
        tools.servers,
        [server("a", Reached::ByClient), server("b", Reached::ByApi)]
    );
    assert!(Tools::of(None, None).unwrap().names.is_empty());
}

#[test]
fn what_cannot_be_read_or_is_too_much_is_said() {
    let many = |entry: &str, count: usize| format!("[{}]", vec![entry; count].join(","));
    let configs: Vec<String> = (0..=MOST_TOOLS)
        .map(|n| format!(r#""t{n}":{{}}"#))
        .collect();
    let configs = configs.join(",");
    for (tools, servers, expected) in [
        (r#"{"name":"x"}"#.to_owned(), "[]", Unreadable::Malformed),
        (r#"[{"name":5}]"#.to_owned(), "[]", Unreadable::Malformed),
        (
            r#"[{"name":"a","name":"b"}]"#.to_owned(),
            "[]",
            Unreadable::Malformed,
        ),
        (r#"["x"]"#.to_owned(), "[]", Unreadable::Malformed),
        ("[]".to_owned(), "\"a\"", Unreadable::Malformed),
        (
            r#"[{"type":"mcp_toolset","configs":[]}]"#.to_owned(),
            "[]",
            Unreadable::Malformed,
        ),
        (many("{}", MOST_TOOLS + 1), "[]", Unreadable::TooMany),
        (
            format!(r#"[{{"type":"mcp_toolset","configs":{{{configs}}}}}]"#),
            "[]",
            Unreadable::TooMany,
        ),
    ] {
        let found = enabled(&tools, servers);
        assert_eq!(
            found,
            Err(expected),
            "{}",
            tools.get(..40).unwrap_or(&tools)
        );
    }
    assert!(enabled(&many("{}", MOST_TOOLS), "[]").is_ok());
}

proptest! {
    #[test]
    fn no_body_is_too_strange(tools in any_body(), servers in any_body()) {
        let _ = Tools::of(Some(&tools), Some(&servers)).map(drop);
    }
}
