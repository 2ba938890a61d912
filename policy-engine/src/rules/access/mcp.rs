//! Which MCP servers and tools a request may name.

use crate::denial::Reason;
use crate::rules::globs::{Globs, read_glob};
use crate::rules::pair::Pair;
use crate::rules::reader::{Item, Reader};
use crate::rules::tools::McpTool;
use crate::rules::{Context, Faults, Objection, Shown};

/// Servers by name, tools by name or by `server/tool`.
#[derive(Debug, Clone, Default)]
pub(super) struct McpRule {
    servers: Pair<Globs>,
    tools: Pair<ToolGlobs>,
}

/// Globs without a `/` are about a tool's bare name, those with one about `server/tool`.
#[derive(Debug, Clone)]
struct ToolGlobs {
    bare: Globs,
    full: Globs,
    /// The part before `/*` of globs that cover every tool of a server.
    servers: Globs,
}

impl McpRule {
    pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
        let servers = ["allowed_mcp_servers", "blocked_mcp_servers"];
        let tools = ["allowed_mcp_tools", "blocked_mcp_tools"];
        Self {
            servers: Pair::read(reader, servers, Globs::read),
            tools: Pair::read(reader, tools, ToolGlobs::read),
        }
    }

    pub(super) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        if !self.servers.is_set() && !self.tools.is_set() {
            return None;
        }
        let tools = match ctx.tools() {
            Ok(tools) => tools,
            Err(objection) => return Some(objection),
        };
        let mut servers = tools.servers.iter();
        let mut enabled = tools.enabled.iter();
        servers
            .find_map(|server| self.check_server(&server.name))
            .or_else(|| enabled.find_map(|tool| self.check_tool(tool)))
    }

    fn check_server(&self, server: &str) -> Option<Objection> {
        let wrong = self.servers.objects(|globs| globs.covers(server))?;
        let message = format!("the MCP server {} {wrong}", Shown(server));
        Some(Objection::new(Reason::McpServerNotApproved, message))
    }

    fn check_tool(&self, tool: &McpTool<'_>) -> Option<Objection> {
        let wrong = self.tools.objects(|globs| globs.cover(tool))?;
        let server = Shown(&tool.server.name);
        let message = match &tool.name {
            Some(name) => format!("the MCP tool {server}/{} {wrong}", Shown(name)),
            None => {
                format!("the request enables every tool of the MCP server {server}, which {wrong}")
            }
        };
        Some(Objection::new(Reason::ToolBlocked, message))
    }
}

impl ToolGlobs {
    fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        let globs = item.list(faults, read_glob)?;
        let (full, bare): (Vec<_>, Vec<_>) = globs.into_iter().partition(|g| g.contains('/'));
        let every = full.iter().filter_map(|glob| glob.strip_suffix("/*"));
        let servers: Vec<_> = every.map(ToOwned::to_owned).collect();
        Some(Self {
            bare: Globs::of(item, &bare, faults)?,
            full: Globs::of(item, &full, faults)?,
            servers: Globs::of(item, &servers, faults)?,
        })
    }

    fn cover(&self, tool: &McpTool<'_>) -> bool {
        let Some(name) = &tool.name else {
            return self.bare.is_everything() || self.servers.covers(&tool.server.name);
        };
        self.bare.covers(name) || self.covers_full(&tool.server.name, name)
    }

    fn covers_full(&self, server: &str, name: &str) -> bool {
        !self.full.is_empty() && self.full.covers(&format!("{server}/{name}"))
    }
}
