//! The MCP servers of a project: which may be used, by whom, how often.

use domain::McpServerId;
use serde_json::Value;

use crate::budget::{Account, BudgetId};
use crate::denial::Reason;
use crate::facts::Role;
use crate::rate::{Buckets, Open};
use crate::rules::{
    Context, Faults, Item, MOST_REQUESTS, McpServer, Objection, Reached, Reader, Shown,
};
use crate::source::ServerSource;

/// A project's servers.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// `organizations.settings.require_mcp_approval`
    pub(crate) requires_approval: bool,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    name: String,
    /// The name as it stands in the names of callers' tools.
    spelled: String,
    status: Status,
    /// As `place` writes it; none if it isn't known.
    url: Option<String>,
    /// None: everybody.
    roles: Option<Vec<Role>>,
    approval_per_use: bool,
    disabled_tools: Vec<String>,
    rate: Option<Rate>,
}

/// How often a server may be named.
#[derive(Debug)]
pub(crate) struct Rate {
    pub(crate) per_minute: u64,
    pub(crate) buckets: Buckets,
    pub(crate) account: Account,
}

/// `mcp_servers.status`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pending,
    Approved,
    Rejected,
    Deprecated,
}

/// What a request uses of the registry, and may use.
#[derive(Debug, Default)]
pub(crate) struct Used<'a> {
    /// Deprecated ones among them.
    pub(crate) deprecated: Vec<&'a str>,
    /// The rates of the servers that it names, with the servers' names.
    pub(crate) rates: Vec<(&'a str, &'a Rate)>,
}

impl Registry {
    pub(crate) fn new(
        settings: &Value,
        sources: &[ServerSource],
        rates: &dyn Open,
        faults: &mut Faults,
    ) -> Self {
        Self {
            requires_approval: requires_approval(settings, faults),
            servers: sources
                .iter()
                .map(|source| Server::new(source, rates, faults))
                .collect(),
        }
    }

    /// Whether there is anything that a request could use and may not.
    pub(crate) fn is_idle(&self) -> bool {
        self.servers.is_empty() && !self.requires_approval
    }

    /// The servers that may be named only so often.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (&str, &Rate)> {
        let servers = self.servers.iter();
        servers.filter_map(|server| Some((server.name.as_str(), server.rate.as_ref()?)))
    }

    /// Looks at all that a request uses of MCP.
    pub(crate) fn check<'a>(&'a self, ctx: &Context<'_>) -> Result<Used<'a>, Objection> {
        let mut used = Used::default();
        let names_any = ctx.request.field("mcp_servers").is_some() || ctx.tools_may_say("mcp");
        if !names_any || self.is_idle() {
            return Ok(used);
        }
        let tools = ctx.tools()?;
        for named in &tools.servers {
            self.check_server(named, ctx, &mut used)?;
        }
        for (name, url) in &tools.urls {
            self.check_url(name, url)?;
        }
        for tool in &tools.enabled {
            let name = tool.name.as_deref().unwrap_or_default();
            for server in self.called(&tool.server) {
                server.check_tool(name)?;
            }
        }
        Ok(used)
    }

    fn check_server<'a>(
        &'a self,
        named: &McpServer<'_>,
        ctx: &Context<'_>,
        used: &mut Used<'a>,
    ) -> Result<(), Objection> {
        // Callers connect to servers of their own, which nobody has to register.
        let must_be_approved = self.requires_approval && named.reached == Reached::ByApi;
        let mut is_registered = false;
        for server in self.called(named) {
            is_registered = true;
            server.check(must_be_approved, ctx)?;
            used.add(server);
        }
        if must_be_approved && !is_registered {
            return Err(unapproved(&named.name, "is not registered"));
        }
        Ok(())
    }

    /// What was approved is a server at a place, not whatever somebody calls by its name.
    fn check_url(&self, name: &str, url: &str) -> Result<(), Objection> {
        let is_elsewhere = |server: &&Server| {
            let known = server.url.as_deref();
            server.name == name && known.is_some_and(|known| known != place(url))
        };
        match self.servers.iter().find(is_elsewhere) {
            Some(_) if self.requires_approval => {
                Err(unapproved(name, "is registered with another url"))
            }
            _ => Ok(()),
        }
    }

    /// The servers that a request may mean by a name.
    fn called(&self, named: &McpServer<'_>) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.is(named))
    }
}

impl Rate {
    fn new(id: McpServerId, per_minute: u64, rates: &dyn Open) -> Self {
        let budget = BudgetId::of(("mcp_server", id));
        Self {
            per_minute,
            buckets: rates.buckets(budget, per_minute),
            account: Account {
                budget,
                holder: id.0,
                model: 0,
            },
        }
    }
}

impl<'a> Used<'a> {
    /// Once for each server.
    fn add(&mut self, server: &'a Server) {
        let name = server.name.as_str();
        if server.status == Status::Deprecated && !self.deprecated.contains(&name) {
            self.deprecated.push(name);
        }
        if let Some(rate) = &server.rate
            && !self.rates.iter().any(|(known, _)| *known == name)
        {
            self.rates.push((name, rate));
        }
    }
}

impl Server {
    fn new(source: &ServerSource, rates: &dyn Open, faults: &mut Faults) -> Self {
        let terms = Terms::read(source, faults);
        let spell = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let disabled = source.tools.iter().filter(|tool| !tool.enabled);
        Self {
            name: source.name.clone(),
            spelled: source.name.chars().map(spell).collect(),
            status: status(&source.status),
            url: source.url.as_deref().map(place),
            roles: terms.roles,
            approval_per_use: terms.approval_per_use,
            disabled_tools: disabled.map(|tool| tool.name.clone()).collect(),
            rate: terms
                .per_minute
                .map(|most| Rate::new(source.id, most, rates)),
        }
    }

    fn is(&self, named: &McpServer<'_>) -> bool {
        match named.reached {
            Reached::ByApi => self.name == named.name,
            Reached::ByClient => self.name == named.name || self.spelled == named.name,
        }
    }

    fn check(&self, must_be_approved: bool, ctx: &Context<'_>) -> Result<(), Objection> {
        let why = match self.status {
            Status::Rejected => "has been rejected",
            Status::Pending if must_be_approved => "is not approved yet",
            _ if !self.allows(ctx.role()) => "is not for the role of this key's user",
            _ if !self.is_agreed_to(ctx) => "has to be named in x-mindweave-approve-mcp",
            Status::Pending | Status::Approved | Status::Deprecated => return Ok(()),
        };
        Err(unapproved(&self.name, why))
    }

    /// An owner may use every server.
    fn allows(&self, role: Option<Role>) -> bool {
        let among = |roles: &Vec<Role>| {
            role.is_some_and(|role| role == Role::Owner || roles.contains(&role))
        };
        self.roles.as_ref().is_none_or(among)
    }

    fn is_agreed_to(&self, ctx: &Context<'_>) -> bool {
        !self.approval_per_use || ctx.request.approved_mcp.contains(&self.name.as_str())
    }

    fn check_tool(&self, name: &str) -> Result<(), Objection> {
        if !self.disabled_tools.iter().any(|disabled| disabled == name) {
            return Ok(());
        }
        let message = format!(
            "{} of the MCP server {} is switched off",
            Shown(name),
            Shown(&self.name)
        );
        Err(Objection::new(Reason::ToolBlocked, message))
    }
}

/// A URL, so that two ways to write the same one are one: scheme and host in lower case, without the port that goes
/// without saying.
fn place(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(&host);
    let path = if path.is_empty() { "/" } else { path };
    format!("{scheme}://{host}{path}")
}

fn unapproved(server: &str, why: &str) -> Objection {
    let message = format!("the MCP server {} {why}", Shown(server));
    Objection::new(Reason::McpServerNotApproved, message)
}

/// A setting that can't be understood is the stricter one.
fn requires_approval(settings: &Value, faults: &mut Faults) -> bool {
    if settings.is_null() {
        return false;
    }
    let mut reader = Reader::new(&Item::new("$.settings", settings), faults);
    let mut is_there = false;
    let required = reader.optional("require_mcp_approval", |item, faults| {
        is_there = true;
        item.boolean(faults)
    });
    required.unwrap_or(is_there)
}

/// `mcp_servers.policy`; what it says of other things is somebody else's.
#[derive(Default)]
struct Terms {
    roles: Option<Vec<Role>>,
    per_minute: Option<u64>,
    approval_per_use: bool,
}

impl Terms {
    fn read(source: &ServerSource, faults: &mut Faults) -> Self {
        if source.policy.is_null() {
            return Self::default();
        }
        let path = format!("$.mcp_servers[{}].policy", source.name);
        let mut reader = Reader::new(&Item::new(&path, &source.policy), faults);
        let approval = reader.optional("requires_approval_per_use", Item::boolean);
        Self {
            roles: reader.optional("allowed_roles", |item, faults| item.list(faults, role)),
            per_minute: reader.optional("rate_limit_per_minute", |item, faults| {
                item.whole(0..=MOST_REQUESTS, faults)
            }),
            approval_per_use: approval.unwrap_or(false),
        }
    }
}

/// `developer` is what older registrations call a member.
fn role(item: &Item<'_>, faults: &mut Faults) -> Option<Role> {
    match item.value.as_str() {
        Some("developer") => Some(Role::Member),
        Some(name) if let Ok(role) = name.parse() => Some(role),
        _ => item.fault(
            faults,
            "must be owner, admin, member (or developer) or viewer",
        ),
    }
}

/// One that nobody knows has not been approved.
fn status(text: &str) -> Status {
    match text {
        "approved" => Status::Approved,
        "rejected" => Status::Rejected,
        "deprecated" => Status::Deprecated,
        _ => Status::Pending,
    }
}
