//! Why a request may not pass.

use std::sync::Arc;

use domain::{PolicyId, Timestamp};

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
