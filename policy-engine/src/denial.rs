//! Why a request may not pass.

use std::sync::Arc;
use std::time::Duration;

use domain::{PolicyId, Timestamp};

use crate::book::Standing;
use crate::budget::Budget;
use crate::limit::Metric;
use crate::notes::Left;

/// A refusal, with all that its caller needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What refused, in a bounded word.
    pub reason: Reason,
    /// For a person.
    pub message: String,
    /// The policy, if it was one: id and name.
    pub policy: Option<(PolicyId, Arc<str>)>,
    /// Of a rate or a budget.
    pub exhausted: Option<Exhausted>,
    /// What is left of limits that were looked at.
    pub left: Left,
    /// The item of a batch that is refused, and the batch with it.
    pub item: Option<DeniedItem>,
}

/// Which item of a batch it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeniedItem {
    /// Its place in `requests`, from 0 on.
    pub index: u64,
    /// Its `custom_id`, if it has one: short, and nothing in it but what can be seen of ASCII.
    pub custom_id: Option<String>,
}

impl Denial {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            reason,
            message: message.into(),
            policy: None,
            exhausted: None,
            left: Left::default(),
            item: None,
        })
    }

    pub(crate) fn of_budget(reason: Reason, budget: &Budget, standing: &Standing) -> Box<Self> {
        let metric = budget.limit.metric;
        let show = |amount| metric.show(amount);
        let message = format!(
            "the limit of {} doesn't allow this request: {} are spent and {} held by running requests, and about {} more are expected",
            budget.show(),
            show(standing.spent),
            show(standing.held),
            show(standing.estimate)
        );
        let spent = show(standing.spent);
        Self::exhausted(reason, message, budget, spent, standing.resets_at)
    }

    pub(crate) fn of_rate(budget: &Budget, wait: Duration, now: Timestamp) -> Box<Self> {
        let message = format!("the limit of {} is reached", budget.show());
        let spent = budget.limit.metric.show(budget.limit.most);
        Self::exhausted(
            Reason::RateLimited,
            message,
            budget,
            spent,
            after(now, wait),
        )
    }

    pub(crate) fn of_server(
        server: &str,
        per_minute: u64,
        wait: Duration,
        now: Timestamp,
    ) -> Box<Self> {
        let message = format!(
            "the limit of {per_minute} requests per minute for the MCP server {server} is reached"
        );
        let mut denial = Self::new(Reason::RateLimited, message);
        denial.exhausted = Some(Exhausted {
            limit: per_minute.to_string(),
            spent: per_minute.to_string(),
            unit: Metric::Requests.unit(),
            resets_at: after(now, wait),
        });
        denial
    }

    fn exhausted(
        reason: Reason,
        message: String,
        budget: &Budget,
        spent: String,
        resets_at: Timestamp,
    ) -> Box<Self> {
        let mut denial = Self::new(reason, message);
        denial.policy = budget.policy();
        denial.exhausted = Some(Exhausted {
            limit: budget.limit.metric.show(budget.limit.most),
            spent,
            unit: budget.limit.metric.unit(),
            resets_at,
        });
        denial
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
    Timestamp {
        unix_micros: now.unix_micros.saturating_add_unsigned(micros),
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// As the policy has it.
    pub limit: String,
    /// What was used of it; of a rate, the limit.
    pub spent: String,
    /// `tokens`, `input_tokens`, `output_tokens`, `requests`, `usd`.
    pub unit: &'static str,
    /// When there is something again.
    pub resets_at: Timestamp,
}

/// `error_code`s of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// `model_not_allowed`
    ModelNotAllowed,
    /// `tool_blocked`
    ToolBlocked,
    /// `mcp_server_not_approved`
    McpServerNotApproved,
    /// `endpoint_not_allowed`
    EndpointNotAllowed,
    /// `ip_not_allowed`
    IpNotAllowed,
    /// `policy_denied`
    PolicyDenied,
    /// `model_unpriced`
    ModelUnpriced,
    /// `organization_inactive`
    OrganizationInactive,
    /// `rate_limited`
    RateLimited,
    /// `budget_exhausted`
    BudgetExhausted,
}

impl Reason {
    /// Whether it is a rate or a budget that refused, which there is more of later.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(self, Self::RateLimited | Self::BudgetExhausted)
    }

    /// The `error_code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ToolBlocked => "tool_blocked",
            Self::McpServerNotApproved => "mcp_server_not_approved",
            Self::EndpointNotAllowed => "endpoint_not_allowed",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::PolicyDenied => "policy_denied",
            Self::ModelUnpriced => "model_unpriced",
            Self::OrganizationInactive => "organization_inactive",
            Self::RateLimited => "rate_limited",
            Self::BudgetExhausted => "budget_exhausted",
        }
    }
}
