//! Policies turned from JSON into rules that decide.
//!
//! Guarantees: what has a fault is no rule, and every fault is said with its place; a rule looks only at what it has to.

mod access;
mod acting;
mod applies_to;
mod compliance;
mod custom;
mod globs;
mod hours;
mod models;
mod money;
mod policy;
mod reader;
#[cfg(test)]
mod tests;
mod texts;
mod tools;
mod usage;

use domain::Timestamp;

pub(crate) use access::Access;
pub(crate) use applies_to::AppliesTo;
pub(crate) use models::ModelSet;
pub(crate) use policy::{Policy, Rule};
pub(crate) use reader::{Faults, Reader, boolean, text, whole, word};
pub(crate) use tools::{McpUse, mcp_uses};
pub(crate) use usage::UsageRule;

use crate::budget::{Holder, People};
use crate::denial::Reason;
use crate::facts::{Caller, Request};

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Organization,
    Project,
}

/// What becomes of a request that a rule objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Refused.
    Block,
    /// Admitted, with a warning.
    Warn,
    /// Admitted, and logged.
    Log,
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Log => "log",
        }
    }
}

/// All that rules may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) caller: &'a Caller,
    pub(crate) holder: Holder,
    pub(crate) org_slug: &'a str,
    pub(crate) people: &'a People,
    pub(crate) now: Timestamp,
}

/// What a rule has against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Objection {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

fn action(reader: &mut Reader<'_>) -> Action {
    const ACTIONS: [(&str, Action); 3] = [
        ("block", Action::Block),
        ("warn", Action::Warn),
        ("log", Action::Log),
    ];
    let action = reader.optional("action", word(&ACTIONS));
    action.unwrap_or(Action::Block)
}
