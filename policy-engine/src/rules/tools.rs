//! Which tools and MCP servers a request names.
//!
//! A client's MCP tools are told by their names, `mcp__<server>__<tool>`; of a plugin's, `plugin_<plugin>_<server>` is the server.
//! The API's own are entries of `mcp_servers` and of `tools` with the type `mcp_toolset`: they enable tools by name, or all that the
//! server has, whose names the request doesn't know. Nothing is parsed before a rule asks, and then once.

mod wire;

use std::borrow::Cow;
use std::cell::OnceCell;

use rustc_hash::FxHashSet;

use self::wire::{ServerEntry, ToolEntry};
use super::json::Bounded;
use super::{Context, Objection};

/// The most entries that are looked at.
pub(crate) const MOST_TOOLS: usize = 10_000;

/// What a request names.
#[derive(Debug, Default)]
pub(crate) struct Tools<'a> {
    /// `tools[].name`.
    pub(crate) names: Vec<Cow<'a, str>>,
    /// `tools[].model`, which advisors have.
    pub(crate) models: Vec<Cow<'a, str>>,
    /// Servers, whether or not a tool of theirs is enabled; perhaps repeated.
    pub(crate) servers: Vec<McpServer<'a>>,
    /// Names of servers, and where the API is to connect to for them.
    pub(crate) urls: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What is enabled.
    pub(crate) enabled: Vec<McpTool<'a>>,
}

/// An MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct McpServer<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) reached: Reached,
}

/// Who connects to an MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    ByApi,
    ByClient,
}

/// A tool of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct McpTool<'a> {
    pub(crate) server: McpServer<'a>,
    /// Its bare name; none for all that the server has.
    pub(crate) name: Option<Cow<'a, str>>,
}

/// Why a request's tools aren't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    TooMany,
    Malformed,
}

/// Tools that are parsed when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct LazyTools<'a>(OnceCell<Result<Tools<'a>, Unreadable>>);

impl<'a> Context<'a> {
    /// The request's tools. Where they can't be known, that is what a rule about them objects to.
    pub(crate) fn tools(&self) -> Result<&Tools<'a>, Objection> {
        let request = self.request;
        let parse = || Tools::of(request.field("tools"), request.field("mcp_servers"));
        let message = match self.tools.0.get_or_init(parse) {
            Ok(tools) => return Ok(tools),
            Err(Unreadable::TooMany) => {
                format!("the request names more than {MOST_TOOLS} tools or MCP servers")
            }
            Err(Unreadable::Malformed) => "the tools of the request can't be read".to_owned(),
        };
        Err(Objection::denied(message))
    }

    /// Whether `tools` may have a word in a name, a type, or the name of a member: most requests are seen to have it nowhere
    /// without being parsed.
    pub(crate) fn tools_may_say(&self, word: &str) -> bool {
        let may_say = |json: &str| json.contains(word) || json.contains("\\u");
        self.request.field("tools").is_some_and(may_say)
    }
}

impl<'a> Tools<'a> {
    /// From the fields `tools` and `mcp_servers`.
    pub(crate) fn of(tools: Option<&'a str>, servers: Option<&'a str>) -> Result<Self, Unreadable> {
        let tool_entries: Vec<ToolEntry<'a>> = entries(tools)?;
        let server_entries: Vec<ServerEntry<'a>> = entries(servers)?;
        let mut found = Self::default();
        let mut toolsets = FxHashSet::default();
        for entry in tool_entries {
            toolsets.extend(entry.toolset());
            found.add_tool(entry)?;
            found.check_bound()?;
        }
        for entry in server_entries {
            let has_toolset = toolsets.contains(&entry.name());
            let server = McpServer {
                name: entry.name(),
                reached: Reached::ByApi,
            };
            found.add_server(server, entry.enabled(has_toolset)?);
            found
                .urls
                .extend(entry.url.as_ref().map(|url| (entry.name(), url.0.clone())));
            found.check_bound()?;
        }
        Ok(found)
    }

    fn add_tool(&mut self, entry: ToolEntry<'a>) -> Result<(), Unreadable> {
        if let Some(name) = entry.toolset() {
            let reached = Reached::ByApi;
            self.add_server(McpServer { name, reached }, entry.enabled()?);
        }
        if let Some(name) = entry.name {
            if let Some((server, tool)) = split_client_tool(&name.0) {
                let server = McpServer {
                    name: server,
                    reached: Reached::ByClient,
                };
                self.add_server(server, vec![Some(tool)]);
            }
            self.names.push(name.0);
        }
        self.models.extend(entry.model.map(|model| model.0));
        Ok(())
    }

    fn add_server(&mut self, server: McpServer<'a>, tools: Vec<Option<Cow<'a, str>>>) {
        let of_server = |name| McpTool {
            server: server.clone(),
            name,
        };
        self.enabled.extend(tools.into_iter().map(of_server));
        self.servers.push(server);
    }

    fn check_bound(&self) -> Result<(), Unreadable> {
        let most = self.enabled.len().max(self.servers.len());
        if most > MOST_TOOLS {
            return Err(Unreadable::TooMany);
        }
        Ok(())
    }
}

fn entries<'a, T: serde::Deserialize<'a>>(json: Option<&'a str>) -> Result<Vec<T>, Unreadable> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let list: Bounded<T, MOST_TOOLS> =
        serde_json::from_str(json).map_err(|_| Unreadable::Malformed)?;
    if list.more {
        return Err(Unreadable::TooMany);
    }
    Ok(list.entries)
}

/// Server and bare name of `mcp__<server>__<tool>`.
fn split_client_tool<'a>(name: &Cow<'a, str>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    match name {
        Cow::Borrowed(name) => {
            let (server, tool) = split(name)?;
            Some((Cow::Borrowed(server), Cow::Borrowed(tool)))
        }
        Cow::Owned(name) => {
            let (server, tool) = split(name)?;
            Some((Cow::Owned(server.to_owned()), Cow::Owned(tool.to_owned())))
        }
    }
}

fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("mcp__")?.split_once("__")
}

#[cfg(test)]
mod tests;
