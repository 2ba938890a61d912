//! A row of `policies`, understood.

use std::sync::Arc;

use domain::PolicyId;

use super::access::AccessRule;
use super::applies_to::AppliesTo;
use super::compliance::ComplianceRule;
use super::custom::CustomRule;
use super::usage::UsageRule;
use super::{Action, Context, Faults, Objection};
use crate::budget::{Holder, People};
use crate::fault::Fault;
use crate::source::PolicySource;

/// Whose a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Organization,
    Project,
}

/// A policy without a fault.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) id: PolicyId,
    pub(crate) name: Arc<str>,
    /// None of a policy that is about everybody, as most are.
    pub(crate) applies_to: Option<Arc<AppliesTo>>,
    /// The text of whom it is about: a budget that is about others is another budget.
    pub(crate) filter: Arc<str>,
    pub(crate) rule: Rule,
}

/// What it says, by its type.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    Usage(UsageRule),
    Access(Box<AccessRule>),
    Compliance(Box<ComplianceRule>),
    Custom(CustomRule),
}

impl Policy {
    /// A policy, or everything that is wrong with it.
    pub(crate) fn parse(source: &PolicySource, owner: Owner) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let rule = Rule::parse(source, owner, &mut faults);
        let applies_to = AppliesTo::parse(&source.applies_to, &mut faults);
        match rule {
            Some(rule) if faults.is_empty() => Ok(Self {
                id: source.id,
                name: source.name.as_str().into(),
                applies_to: (!applies_to.is_everybody()).then(|| Arc::new(applies_to)),
                filter: source.applies_to.to_string().into(),
                rule,
            }),
            _ => Err(faults),
        }
    }

    /// Whether it is about a request: its caller, and one of the models it names.
    pub(crate) fn concerns(&self, ctx: &Context<'_>) -> bool {
        self.applies_to.as_ref().is_none_or(|applies_to| {
            applies_to.concerns(&ctx.holder, ctx.people)
                && ctx.names_one(|model| applies_to.concerns_model(model))
        })
    }

    /// Whether it is about a key, whatever that asks for.
    pub(crate) fn concerns_key(&self, holder: &Holder, people: &People) -> bool {
        let applies_to = self.applies_to.as_ref();
        applies_to.is_none_or(|applies_to| applies_to.concerns(holder, people))
    }
}

impl Rule {
    fn parse(source: &PolicySource, owner: Owner, faults: &mut Faults) -> Option<Self> {
        let rules = &source.rules;
        Some(match source.kind.as_str() {
            "usage" => Self::Usage(UsageRule::parse(rules, owner, faults)),
            "access" => Self::Access(Box::new(AccessRule::parse(rules, faults))),
            "compliance" => Self::Compliance(Box::new(ComplianceRule::parse(rules, faults))),
            "custom" => Self::Custom(CustomRule::parse(rules, faults)),
            _ => {
                let message = "must be usage, access, compliance or custom";
                faults.push(Fault::new("$.type", message));
                return None;
            }
        })
    }

    /// What it has against a request, and what becomes of that. Usage is a matter of counters, and not decided here.
    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<(Action, Objection)> {
        match self {
            Self::Usage(_) => None,
            Self::Access(rule) => rule.check(ctx).map(|it| (rule.action, it)),
            Self::Compliance(rule) => rule.check(ctx).map(|it| (rule.action, it)),
            Self::Custom(rule) => rule.check(ctx).map(|it| (rule.action, it)),
        }
    }
}

#[cfg(test)]
mod tests;
