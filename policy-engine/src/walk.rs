//! The order in which rules are looked at. One walk decides, and tells whoever wants to know what it looked at.

mod budgets;
mod items;
mod models;
mod rates;

use domain::{Endpoint, PriceBook, Timestamp};

use crate::book::{Amounts, Hold};
use crate::denial::{Denial, Reason};
use crate::facts::{Caller, Request};
use crate::notes::{Notes, Step, Trace};
use crate::project::{Plan, ProjectRules};
use crate::rules::{Action, Context, Objection, Policy, Rule};

pub(crate) use items::decide_item;

/// A request on its way through the rules of its project.
pub(crate) struct Walk<'a, T> {
    pub(crate) rules: &'a ProjectRules,
    pub(crate) ctx: Context<'a>,
    pub(crate) prices: &'a PriceBook,
    pub(crate) notes: Notes,
    pub(crate) trace: T,
    /// Whether it holds and takes: whoever only asks looks.
    pub(crate) takes: bool,
    /// What the request used, if that is known already.
    pub(crate) known: Option<Amounts>,
}

impl<'a, T: Trace> Walk<'a, T> {
    pub(crate) fn new(
        rules: &'a ProjectRules,
        caller: &'a Caller,
        request: &'a Request<'a>,
        prices: &'a PriceBook,
        now: Timestamp,
        trace: T,
    ) -> Self {
        Self {
            rules,
            ctx: Context::new(request, caller, &rules.org_slug, &rules.people, now),
            prices,
            notes: Notes::default(),
            trace,
            takes: true,
            known: None,
        }
    }

    /// The whole way. What is held is `None` where there are no budgets.
    pub(crate) fn decide(&mut self) -> Result<Option<Hold>, Box<Denial>> {
        let rules = self.rules;
        self.plan()?;
        self.understood()?;
        self.policies(&rules.of_organization)?;
        self.allowed_models()?;
        let named = self.registry()?;
        self.policies(&rules.of_project)?;
        if self.is_never_limited() {
            return Ok(None);
        }
        let hold = self.budgets()?;
        self.rates(&named)?;
        Ok(hold)
    }

    fn plan(&mut self) -> Result<(), Box<Denial>> {
        match self.rules.plan {
            Plan::Good => Ok(()),
            Plan::PastDue => {
                self.notes
                    .warn(None, "the organization's subscription is past due");
                Ok(())
            }
            Plan::Canceled => {
                let message = "the organization's subscription has been canceled";
                self.trace.step(|| Step::refused("subscription", message));
                Err(Denial::new(Reason::OrganizationInactive, message))
            }
        }
    }

    /// Nothing passes that a policy may be about which nobody understands.
    fn understood(&mut self) -> Result<(), Box<Denial>> {
        let Some(broken) = &self.rules.broken else {
            return Ok(());
        };
        let message = format!(
            "there is a policy or a setting that can't be understood: {}",
            broken.fault
        );
        self.trace.step(|| Step::refused("faults", &message));
        let mut denial = Denial::new(Reason::PolicyDenied, message);
        denial.policy.clone_from(&broken.policy);
        Err(denial)
    }

    fn policies(&mut self, policies: &[std::sync::Arc<Policy>]) -> Result<(), Box<Denial>> {
        // Usage policies have budgets, which come later.
        let asked = policies
            .iter()
            .filter(|policy| !matches!(policy.rule, Rule::Usage(_)));
        for policy in asked {
            if !policy.concerns(&self.ctx) {
                self.trace
                    .step(|| Step::of(policy, "is not about this request"));
                continue;
            }
            match policy.rule.check(&self.ctx) {
                None => self
                    .trace
                    .step(|| Step::of(policy, "has nothing against it")),
                Some((action, objection)) => self.object(policy, action, objection)?,
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        policy: &Policy,
        action: Action,
        Objection { reason, message }: Objection,
    ) -> Result<(), Box<Denial>> {
        let origin = Some((policy.id, std::sync::Arc::clone(&policy.name)));
        self.trace
            .step(|| Step::of(policy, &format!("{}: {message}", action.as_str())));
        match action {
            Action::Warn => self.notes.warn(origin, message),
            Action::Log => self.notes.log(origin, message),
            Action::Block => {
                let message = format!("{message} (policy \"{}\")", policy.name);
                let mut denial = Denial::new(reason, message);
                denial.policy = origin;
                return Err(denial);
            }
        }
        Ok(())
    }

    fn allowed_models(&mut self) -> Result<(), Box<Denial>> {
        let Some(models) = &self.rules.models else {
            return Ok(());
        };
        match models.check(&self.ctx) {
            None => {
                self.trace.step(|| Step::passed("allowed_models"));
                Ok(())
            }
            Some(Objection { reason, message }) => {
                let message = format!("{message} in this project");
                self.trace
                    .step(|| Step::refused("allowed_models", &message));
                Err(Denial::new(reason, message))
            }
        }
    }

    fn registry(&mut self) -> Result<crate::registry::Used<'a>, Box<Denial>> {
        let rules = self.rules;
        match rules.registry.check(&self.ctx) {
            Ok(used) => {
                for server in &used.deprecated {
                    self.notes
                        .warn(None, format!("the MCP server {server} is deprecated"));
                }
                Ok(used)
            }
            Err(Objection { reason, message }) => {
                self.trace.step(|| Step::refused("mcp_servers", &message));
                Err(Denial::new(reason, message))
            }
        }
    }

    /// Reading has no limits, and counting tokens is free.
    fn is_never_limited(&self) -> bool {
        self.ctx.request.reads || self.ctx.request.endpoint == Endpoint::CountTokens
    }
}
