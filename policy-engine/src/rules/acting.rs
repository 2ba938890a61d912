//! What a rule does with its objections.

use super::{Action, Rule};

impl Rule {
    /// None of usage, which has counters instead of objections.
    pub(crate) fn action(&self) -> Option<Action> {
        match self {
            Self::Usage(_) => None,
            Self::Access(rule) => Some(rule.action),
            Self::Compliance(rule) => Some(rule.action),
            Self::Custom(rule) => Some(rule.action),
        }
    }
}
