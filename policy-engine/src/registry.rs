//! The MCP servers of a project: which may be used, by whom, how often.

use domain::McpServerId;
use serde_json::Value;

use crate::budget::{Account, BudgetId, People};
use crate::denial::Reason;
use crate::facts::Role;
use crate::fault::Fault;
use crate::rate::{Buckets, Rates};
use crate::rules::{Context, McpUse, Objection, Reader, boolean, mcp_uses, text, whole};
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
    /// None: everybody.
    roles: Option<Vec<Role>>,
    approval_per_use: bool,
    disabled_tools: Vec<String>,
    rate: Option<(Buckets, Account)>,
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
    pub(crate) rates: Vec<(&'a str, &'a Buckets, &'a Account)>,
}

impl Registry {
    pub(crate) fn new(
        settings: &Value,
        sources: &[ServerSource],
        rates: &Rates,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut reader = Reader::new("$.settings", settings, faults);
        let requires_approval = reader.optional("require_mcp_approval", boolean);
        Self {
            // A setting that can't be understood is the stricter one.
            requires_approval: requires_approval.unwrap_or_else(|| {
                settings
                    .get("require_mcp_approval")
                    .is_some_and(|it| !it.is_null())
            }),
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

    /// Looks at all that a request uses of MCP.
    pub(crate) fn check<'a>(&'a self, ctx: &Context<'_>) -> Result<Used<'a>, Objection> {
        let mut used = Used::default();
        let request = ctx.request;
        let has_any = request.field("mcp_servers").is_some()
            || request
                .field("tools")
                .is_some_and(|tools| tools.contains("mcp"));
        if !has_any || self.is_idle() {
            return Ok(used);
        }
        for each in mcp_uses(request)? {
            match self.servers.iter().find(|server| server.is(&each)) {
                Some(server) => server.check(self.requires_approval, &each, ctx, &mut used)?,
                None if each.by_api && self.requires_approval => {
                    return Err(unapproved(&each.server, "is not registered"));
                }
                None => {}
            }
        }
        Ok(used)
    }
}

impl Server {
    fn new(source: &ServerSource, rates: &Rates, faults: &mut Vec<Fault>) -> Self {
        let path = format!("$.mcp_servers[{}].policy", source.name);
        let mut reader = Reader::new(path, &source.policy, faults);
        let roles = reader.list("allowed_roles", |value| role(text(value)?));
        let per_minute = reader.optional("rate_limit_per_minute", whole(0..=u64::MAX));
        let approval = reader.optional("requires_approval_per_use", boolean);
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
            roles,
            approval_per_use: approval.unwrap_or(false),
            disabled_tools: disabled.map(|tool| tool.name.clone()).collect(),
            rate: per_minute.map(|per_minute| rate(source.id, per_minute, rates)),
        }
    }

    fn is(&self, each: &McpUse<'_>) -> bool {
        self.name == each.server || !each.by_api && self.spelled == each.server
    }

    fn check<'a>(
        &'a self,
        requires_approval: bool,
        each: &McpUse<'_>,
        ctx: &Context<'_>,
        used: &mut Used<'a>,
    ) -> Result<(), Objection> {
        match self.status {
            Status::Rejected => return Err(unapproved(&self.name, "has been rejected")),
            Status::Pending if requires_approval && each.by_api => {
                return Err(unapproved(&self.name, "is not approved yet"));
            }
            Status::Deprecated if !used.deprecated.contains(&self.name.as_str()) => {
                used.deprecated.push(&self.name);
            }
            Status::Pending | Status::Approved | Status::Deprecated => {}
        }
        if !self.allows(ctx.people, ctx) {
            return Err(unapproved(
                &self.name,
                "is not for the role of this key's user",
            ));
        }
        if self.approval_per_use && !ctx.request.approved_mcp.contains(&self.name.as_str()) {
            return Err(unapproved(
                &self.name,
                "has to be named in x-mindweave-approve-mcp",
            ));
        }
        let is_disabled = |tool: &str| self.disabled_tools.iter().any(|disabled| disabled == tool);
        if let Some(tool) = each.tool.as_deref().filter(|tool| is_disabled(tool)) {
            let message = format!("{tool} of the MCP server {} is switched off", self.name);
            return Err(Objection::new(Reason::ToolBlocked, message));
        }
        if let Some((buckets, account)) = &self.rate
            && !used.rates.iter().any(|(name, ..)| *name == self.name)
        {
            used.rates.push((&self.name, buckets, account));
        }
        Ok(())
    }

    fn allows(&self, people: &People, ctx: &Context<'_>) -> bool {
        let role = people.role(ctx.holder.user_id);
        self.roles.as_ref().is_none_or(|roles| {
            role == Some(Role::Owner) || role.is_some_and(|role| roles.contains(&role))
        })
    }
}

fn unapproved(server: &str, why: &str) -> Objection {
    let message = format!("the MCP server {server} {why}");
    Objection::new(Reason::McpServerNotApproved, message)
}

/// `developer` is what older registrations call a member.
fn role(text: &str) -> Result<Role, String> {
    if text == "developer" {
        return Ok(Role::Member);
    }
    let unknown = |_| "must be owner, admin, member (or developer) or viewer".to_owned();
    text.parse().map_err(unknown)
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

fn rate(id: McpServerId, per_minute: u64, rates: &Rates) -> (Buckets, Account) {
    let budget = BudgetId::of(("mcp_server", id));
    let account = Account {
        budget,
        holder: id.0,
        model: 0,
    };
    (rates.buckets(budget, per_minute), account)
}
