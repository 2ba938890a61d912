//! The MCP servers and tools that a request may use.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::Objection;
use crate::denial::Reason;
use crate::facts::Request;

/// Requests with more are refused where somebody has to look at each.
const MOST: usize = 10_000;

/// What a request may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct McpUse<'a> {
    pub(crate) server: Cow<'a, str>,
    /// None: all that the server has.
    pub(crate) tool: Option<Cow<'a, str>>,
    /// Whether the API connects to the server; else the caller does.
    pub(crate) by_api: bool,
}

#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mcp_server_name: Option<Cow<'a, str>>,
    #[serde(default)]
    default_config: Option<Config>,
    #[serde(borrow, default)]
    configs: Option<BTreeMap<Cow<'a, str>, Config>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Config {
    #[serde(default)]
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct Server<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    tool_configuration: Option<ToolConfiguration<'a>>,
}

#[derive(Deserialize)]
struct ToolConfiguration<'a> {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(borrow, default)]
    allowed_tools: Option<Vec<Cow<'a, str>>>,
}

/// The entries of a list in the body; none if there is no such list.
pub(super) fn entries<'a, T: Deserialize<'a>>(
    request: &Request<'a>,
    field: &str,
) -> Result<Vec<T>, Objection> {
    let Some(json) = request.field(field) else {
        return Ok(Vec::new());
    };
    let unreadable = |_| {
        let message = format!("`{field}` can't be read as what the API takes there");
        Objection::new(Reason::PolicyDenied, message)
    };
    let entries: Vec<T> = serde_json::from_str(json).map_err(unreadable)?;
    if entries.len() > MOST {
        let message = format!("`{field}` has more than {MOST} entries");
        return Err(Objection::new(Reason::PolicyDenied, message));
    }
    Ok(entries)
}

/// All that a request may use of MCP servers.
pub(crate) fn mcp_uses<'a>(request: &Request<'a>) -> Result<Vec<McpUse<'a>>, Objection> {
    let (mut uses, mut in_toolsets) = (Vec::new(), Vec::new());
    for tool in entries::<Tool<'_>>(request, "tools")? {
        if tool.kind.as_deref() == Some("mcp_toolset") {
            in_toolsets.extend(tool.mcp_server_name.clone());
            of_toolset(tool, &mut uses);
        } else if let Some((server, tool)) = tool.name.as_deref().and_then(client_tool) {
            uses.push(McpUse {
                server: server.into(),
                tool: Some(tool.into()),
                by_api: false,
            });
        }
    }
    for server in entries::<Server<'_>>(request, "mcp_servers")? {
        if !in_toolsets.contains(&server.name) {
            of_server(server, &mut uses);
        }
    }
    Ok(uses)
}

/// Server and tool of a client's tool `mcp__<server>__<tool>`.
fn client_tool(name: &str) -> Option<(String, String)> {
    let (server, tool) = name.strip_prefix("mcp__")?.split_once("__")?;
    Some((server.to_owned(), tool.to_owned()))
}

fn of_toolset<'a>(tool: Tool<'a>, uses: &mut Vec<McpUse<'a>>) {
    let server = tool.mcp_server_name.unwrap_or_default();
    let by_default = tool.default_config.unwrap_or_default().enabled != Some(false);
    if by_default {
        uses.push(all_of(server.clone()));
    }
    for (name, config) in tool.configs.unwrap_or_default() {
        if config.enabled.unwrap_or(by_default) {
            uses.push(McpUse {
                server: server.clone(),
                tool: Some(name),
                by_api: true,
            });
        }
    }
}

fn of_server<'a>(server: Server<'a>, uses: &mut Vec<McpUse<'a>>) {
    let Some(configuration) = server.tool_configuration else {
        return uses.push(all_of(server.name));
    };
    if configuration.enabled == Some(false) {
        return;
    }
    match configuration.allowed_tools {
        None => uses.push(all_of(server.name)),
        Some(tools) => uses.extend(tools.into_iter().map(|tool| McpUse {
            server: server.name.clone(),
            tool: Some(tool),
            by_api: true,
        })),
    }
}

fn all_of(server: Cow<'_, str>) -> McpUse<'_> {
    McpUse {
        server,
        tool: None,
        by_api: true,
    }
}

#[cfg(test)]
mod tests {
    use domain::Endpoint;

    use super::*;
    use crate::facts::Field;

    fn uses(tools: &'static str, servers: &'static str) -> Vec<String> {
        let field = |name: &'static str, json| Field {
            name: name.into(),
            json,
        };
        let fields = [field("tools", tools), field("mcp_servers", servers)];
        let request = Request {
            fields: &fields,
            ..Request::of(Endpoint::Messages)
        };
        let uses = mcp_uses(&request).unwrap();
        let show =
            |each: McpUse<'_>| format!("{}/{}", each.server, each.tool.unwrap_or("all".into()));
        uses.into_iter().map(show).collect()
    }

    #[test]
    fn what_may_be_used_is_found_in_both_places() {
        assert_eq!(
            uses(
                r#"[{"name":"mcp__git__push"},{"name":"Bash"},{"type":"web_search_20250305","name":"web_search"}]"#,
                "null"
            ),
            ["git/push"]
        );
        assert_eq!(
            uses("null", r#"[{"type":"url","name":"a","url":"u"}]"#),
            ["a/all"]
        );
        assert_eq!(
            uses(
                "null",
                r#"[{"name":"a","tool_configuration":{"allowed_tools":["x","y"]}},{"name":"b","tool_configuration":{"enabled":false}}]"#
            ),
            ["a/x", "a/y"]
        );
        assert_eq!(
            uses(
                r#"[{"type":"mcp_toolset","mcp_server_name":"a","default_config":{"enabled":false},"configs":{"x":{"enabled":true},"y":{}}}]"#,
                r#"[{"name":"a"},{"name":"b"}]"#
            ),
            ["a/x", "b/all"]
        );
        assert_eq!(
            uses(
                r#"[{"type":"mcp_toolset","mcp_server_name":"a","configs":{"x":{"enabled":false}}}]"#,
                "null"
            ),
            ["a/all"]
        );
    }
}
