//! MCP servers that projects have registered, and the calls of their tools that answers show.

use std::collections::HashMap;

use domain::{McpCall, McpServerId, McpStatus, ProjectId, RequestId};

use crate::meter::Call;

/// The registry in force, which may be replaced while requests run.
pub type McpRegistry = arc_swap::ArcSwap<McpServers>;

/// Registered servers, by project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct McpServers {
    by_project: HashMap<ProjectId, Vec<McpServer>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct McpServer {
    id: McpServerId,
    name: String,
    /// The name as it stands in the names of callers' tools.
    spelled: String,
}

impl McpServers {
    /// Adds a server.
    pub fn add(&mut self, project_id: ProjectId, id: McpServerId, name: &str) {
        let spell = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        self.by_project
            .entry(project_id)
            .or_default()
            .push(McpServer {
                id,
                name: name.to_owned(),
                spelled: name.chars().map(spell).collect(),
            });
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (ProjectId, McpServerId, &str)> {
        self.by_project.iter().flat_map(|(project_id, servers)| {
            let servers = servers.iter();
            servers.map(|server| (*project_id, server.id, server.name.as_str()))
        })
    }

    /// A call as it is stored.
    pub(crate) fn recorded(&self, project_id: ProjectId, call: Call) -> McpCall {
        let servers = self
            .by_project
            .get(&project_id)
            .map_or(&[][..], Vec::as_slice);
        let named = match call.server_name {
            Some(server_name) => {
                let server = servers.iter().find(|server| server.name == server_name);
                Named {
                    server_id: server.map(|server| server.id),
                    server_name,
                    tool_name: call.name,
                }
            }
            None => taken_apart(servers, &call.name),
        };
        McpCall {
            id: RequestId::next(),
            server_id: named.server_id,
            server_name: named.server_name,
            tool_name: named.tool_name,
            status: match call.result {
                Some(result) if result.is_error => McpStatus::Error,
                Some(_) => McpStatus::Success,
                None => McpStatus::Requested,
            },
            input_bytes: call.input_bytes,
            output_bytes: call.result.map(|result| result.bytes),
            tool_use_id: call.id,
        }
    }
}

struct Named {
    server_id: Option<McpServerId>,
    server_name: String,
    tool_name: String,
}

/// `mcp__<server>__<tool>`, or `mcp__plugin_<plugin>_<server>__<tool>`. Either name may hold `__` itself, so a server that is
/// registered is looked for first, the longest name before others.
fn taken_apart(servers: &[McpServer], name: &str) -> Named {
    let rest = name.strip_prefix("mcp__").unwrap_or(name);
    let found = servers
        .iter()
        .filter_map(|server| Some((server, tool_of(server, rest)?)))
        .max_by_key(|(server, _)| server.spelled.len());
    if let Some((server, tool_name)) = found {
        return Named {
            server_id: Some(server.id),
            server_name: server.name.clone(),
            tool_name: tool_name.to_owned(),
        };
    }
    let (server_name, tool_name) = rest.split_once("__").unwrap_or(("", rest));
    Named {
        server_id: None,
        server_name: server_name.to_owned(),
        tool_name: tool_name.to_owned(),
    }
}

/// The tool, if it is one of this server's.
fn tool_of<'a>(server: &McpServer, rest: &'a str) -> Option<&'a str> {
    let direct = rest
        .strip_prefix(server.spelled.as_str())
        .and_then(|tool| tool.strip_prefix("__"));
    direct.or_else(|| {
        let (_plugin, tool) = rest
            .strip_prefix("plugin_")?
            .split_once(&format!("_{}__", server.spelled))?;
        Some(tool)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::CallResult;

    fn call(server_name: Option<&str>, name: &str) -> Call {
        Call {
            id: "toolu_1".to_owned(),
            server_name: server_name.map(str::to_owned),
            name: name.to_owned(),
            input_bytes: 2,
            result: None,
        }
    }

    #[test]
    fn registered_servers_are_found_by_the_names_that_answers_have() {
        let (project, other) = (
            ProjectId(uuid::Uuid::now_v7()),
            ProjectId(uuid::Uuid::now_v7()),
        );
        let [github, dotted, nested] = std::array::from_fn(|_| McpServerId(uuid::Uuid::now_v7()));
        let mut servers = McpServers::default();
        servers.add(project, github, "github");
        servers.add(project, dotted, "files.of us");
        servers.add(project, nested, "github__eu");
        for (server_name, name, server_id, server, tool) in [
            (Some("github"), "list", Some(github), "github", "list"),
            (Some("gitlab"), "list", None, "gitlab", "list"),
            (
                None,
                "mcp__github__list_issues",
                Some(github),
                "github",
                "list_issues",
            ),
            (
                None,
                "mcp__github__eu__list",
                Some(nested),
                "github__eu",
                "list",
            ),
            (
                None,
                "mcp__files_of_us__read",
                Some(dotted),
                "files.of us",
                "read",
            ),
            (
                None,
                "mcp__plugin_dev_kit_github__list",
                Some(github),
                "github",
                "list",
            ),
            (None, "mcp__gitlab__list__all", None, "gitlab", "list__all"),
            (None, "mcp__githubby__list", None, "githubby", "list"),
            (None, "mcp__alone", None, "", "alone"),
        ] {
            let recorded = servers.recorded(project, call(server_name, name));
            assert_eq!(recorded.server_id, server_id, "{name}");
            assert_eq!(
                (recorded.server_name.as_str(), recorded.tool_name.as_str()),
                (server, tool),
                "{name}"
            );
            let stranger = servers.recorded(other, call(server_name, name));
            assert_eq!(stranger.server_id, None, "{name} of another project");
        }
    }

    #[test]
    fn what_came_of_a_call_is_its_status() {
        let of = |result: Option<(bool, u64)>| {
            let result = result.map(|(is_error, bytes)| CallResult { is_error, bytes });
            let call = Call {
                result,
                ..call(None, "mcp__a__b")
            };
            let recorded = McpServers::default().recorded(ProjectId(uuid::Uuid::now_v7()), call);
            (recorded.status, recorded.output_bytes)
        };
        assert_eq!(of(None), (McpStatus::Requested, None));
        assert_eq!(of(Some((false, 7))), (McpStatus::Success, Some(7)));
        assert_eq!(of(Some((true, 0))), (McpStatus::Error, Some(0)));
    }
}
