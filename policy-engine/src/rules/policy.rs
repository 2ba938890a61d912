//! One policy, understood.

use std::sync::Arc;

use domain::PolicyId;

use super::access::Access;
use super::applies_to::AppliesTo;
use super::compliance::Compliance;
use super::custom::Custom;
use super::usage::UsageRule;
use super::{Action, Context, Faults, Objection, Owner};
use crate::fault::Fault;
use crate::source::PolicySource;

/// What a row of `policies` means.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) id: PolicyId,
    pub(crate) name: Arc<str>,
    pub(crate) applies_to: Arc<AppliesTo>,
    pub(crate) rule: Rule,
}

/// By its type.
#[derive(Debug)]
pub(crate) enum Rule {
    Usage(UsageRule),
    Access(Box<Access>),
    Compliance(Box<Compliance>),
    Custom(Box<Custom>),
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn parse(source: &PolicySource, owner: Owner) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new();
        let rules = &source.rules;
        if rules.is_null() {
            faults.push(Fault::new("$.rules", "must be an object"));
        }
        let rule = match source.kind.as_str() {
            "usage" => Some(Rule::Usage(UsageRule::parse(rules, owner, &mut faults))),
            "access" => Some(Rule::Access(Box::new(Access::parse(rules, &mut faults)))),
            "compliance" => {
                let compliance = Compliance::parse(rules, &mut faults);
                Some(Rule::Compliance(Box::new(compliance)))
            }
            "custom" => Custom::parse(rules, &mut faults).map(|it| Rule::Custom(Box::new(it))),
            _ => {
                let message = "must be usage, access, compliance or custom";
                faults.push(Fault::new("$.type", message));
                None
            }
        };
        let applies_to = AppliesTo::parse(&source.applies_to, &mut faults);
        match rule {
            Some(rule) if faults.is_empty() => Ok(Self {
                id: source.id,
                name: source.name.as_str().into(),
                applies_to: Arc::new(applies_to),
                rule,
            }),
            _ => Err(faults),
        }
    }

    /// What it has against a request, and what is to be done about it. Usage policies have budgets instead.
    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<(Action, Objection)> {
        let (action, objection) = match &self.rule {
            Rule::Usage(_) => return None,
            Rule::Access(access) => (access.action, access.check(ctx)?),
            Rule::Compliance(compliance) => (compliance.action, compliance.check(ctx)?),
            Rule::Custom(custom) => (custom.action, custom.check(ctx)?),
        };
        Some((action, objection))
    }

    /// Whether it is about a request.
    pub(crate) fn concerns(&self, ctx: &Context<'_>) -> bool {
        self.applies_to.covers(ctx.request.model)
            && self.applies_to.concerns(&ctx.holder, ctx.people)
    }
}
