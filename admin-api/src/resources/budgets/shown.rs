//! A limit, as it is shown.

use policy_engine::{LimitOf, LimitOrigin, Scope, Standing, UsageAction};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A limit in force, and what is left of it. Amounts are decimal, in the unit of the metric.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Budget {
    /// `budget`
    r#type: &'static str,
    /// `policy`, `quota` (of a project), `subscription` or `mcp_server`
    source: &'static str,
    policy_id: Option<Uuid>,
    policy: Option<String>,
    /// Of a quota or an MCP server.
    project_id: Option<Uuid>,
    mcp_server: Option<String>,
    /// Whose requests one counter counts: `organization`, `project`, `user` or `key`.
    scope: &'static str,
    /// Whose counter it is; null where it wasn't said whose to read.
    scope_id: Option<Uuid>,
    /// The model whose counter it is, where each has one.
    model: Option<String>,
    per_model: bool,
    /// `tokens`, `input_tokens`, `output_tokens`, `requests` or `cost`
    metric: &'static str,
    /// `tokens`, `input_tokens`, `output_tokens`, `requests` or `usd`
    unit: &'static str,
    /// `minute`, `hour`, `day`, `week` or `month`
    window: &'static str,
    /// `hard_limit`, `soft_limit`, `warn` or `log`
    action: &'static str,
    limit: String,
    /// What requests that have ended used. This and what follows is null where each of several has a counter of its own.
    spent: Option<String>,
    /// What those that run are expected to use.
    held: Option<String>,
    remaining: Option<String>,
    resets_at: Option<String>,
    /// `ok`, `warned` (from a share on), `used_up`, or `apart`: each has a counter of its own; say whose to read.
    state: &'static str,
}

impl Budget {
    pub(super) fn of(limit: LimitOf, model: Option<&str>) -> Self {
        let state = state(&limit);
        let LimitOf {
            origin,
            scope,
            per_model,
            holder,
            action,
            limit,
            standing,
            ..
        } = limit;
        let show = |amount: u64| limit.metric.show(amount);
        let taken = |it: Standing| it.spent.saturating_add(it.held);
        let remaining = standing.map(|it| limit.most.saturating_sub(taken(it)));
        let mut budget = Self {
            r#type: "budget",
            source: "policy",
            policy_id: None,
            policy: None,
            project_id: None,
            mcp_server: None,
            scope: scope_name(scope),
            scope_id: holder,
            model: model.filter(|_| per_model).map(str::to_owned),
            per_model,
            metric: limit.metric.as_str(),
            unit: limit.metric.unit(),
            window: limit.window.as_str(),
            action: action_name(action),
            limit: show(limit.most),
            spent: standing.map(|it| show(it.spent)),
            held: standing.map(|it| show(it.held)),
            remaining: remaining.map(show),
            resets_at: standing.map(|it| it.resets_at.rfc3339()),
            state,
        };
        budget.say_source(origin);
        budget
    }

    fn say_source(&mut self, origin: LimitOrigin) {
        match origin {
            LimitOrigin::Policy { id, name } => {
                self.policy_id = Some(id.0);
                self.policy = Some(name.to_string());
            }
            LimitOrigin::Quota(project_id) => {
                self.source = "quota";
                self.project_id = Some(project_id.0);
            }
            LimitOrigin::Subscription => self.source = "subscription",
            LimitOrigin::McpServer(project_id, name) => {
                self.source = "mcp_server";
                self.project_id = Some(project_id.0);
                self.mcp_server = Some(name);
            }
        }
    }
}

fn state(limit: &LimitOf) -> &'static str {
    let Some(standing) = limit.standing else {
        return "apart";
    };
    let taken = standing.spent.saturating_add(standing.held);
    if taken >= limit.limit.most {
        return "used_up";
    }
    let is_warned = limit.warn_at_percent.is_some_and(|percent| {
        u128::from(taken) * 100 >= u128::from(limit.limit.most) * u128::from(percent)
    });
    if is_warned { "warned" } else { "ok" }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Organization => "organization",
        Scope::Project => "project",
        Scope::User => "user",
        Scope::Key => "key",
    }
}

fn action_name(action: UsageAction) -> &'static str {
    match action {
        UsageAction::HardLimit => "hard_limit",
        UsageAction::SoftLimit => "soft_limit",
        UsageAction::Warn => "warn",
        UsageAction::Log => "log",
    }
}
