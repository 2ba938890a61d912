//! The order in which rules are looked at. One walk decides, and tells whoever wants to know what it looked at.

mod items;

use domain::pricing::{Basis, Charge, Span};
use domain::{Endpoint, Picodollars, PriceBook, Timestamp, TokenCounts, Usage};

use crate::book::{Ask, Hold, Standing, Unheld, Watch};
use crate::budget::Budget;
use crate::denial::{Denial, Reason};
use crate::facts::{Caller, Request};
use crate::limit::{UsageAction, Window};
use crate::notes::{Notes, Step, Trace};
use crate::project::{Plan, ProjectRules};
use crate::rate::Taken;
use crate::rules::{Action, Context, Objection, Policy, Rule, Shown};

pub(crate) use items::decide_item;

/// A request on its way through the rules of its project.
pub(crate) struct Walk<'a, T> {
    pub(crate) rules: &'a ProjectRules,
    pub(crate) ctx: Context<'a>,
    pub(crate) prices: &'a PriceBook,
    pub(crate) notes: Notes,
    pub(crate) trace: T,
    /// Rates are only looked at by requests that are made.
    pub(crate) takes: bool,
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

    fn budgets(&mut self) -> Result<Option<Hold>, Box<Denial>> {
        let rules = self.rules;
        if self.ctx.caller.test || rules.budgets.is_empty() {
            return Ok(None);
        }
        let Context { request, now, .. } = self.ctx;
        let ask = Ask {
            holder: self.ctx.holder,
            model: request.model,
            body_bytes: request.body_bytes,
            max_tokens: request.max_tokens,
            works: works(request.endpoint),
            at: now,
        };
        let price = |input, output| price(self.prices, request.model, (input, output), now);
        let mut watch = Watching {
            notes: &mut self.notes,
            trace: &mut self.trace,
        };
        let held = rules
            .book
            .hold(&ask, rules.budgets.iter(), &rules.people, price, &mut watch);
        held.map(Some).map_err(|unheld| match unheld {
            Unheld::Exceeded(budget, standing) => exceeded(budget, &standing),
            Unheld::Unpriced(budget) => {
                let message = format!(
                    "the model {} has no price, and a limit of cost applies",
                    Shown(request.model)
                );
                let mut denial = Denial::new(Reason::ModelUnpriced, message);
                denial.policy = budget.policy();
                denial
            }
        })
    }

    fn rates(&mut self, named: &crate::registry::Used<'_>) -> Result<(), Box<Denial>> {
        let rules = self.rules;
        for rate in &rules.rates {
            let budget = &rate.budget;
            if !budget
                .whose
                .counts(&self.ctx.holder, &rules.people, self.ctx.request.model)
            {
                continue;
            }
            if !self.takes {
                self.trace.step(|| Step::rate(budget));
                continue;
            }
            let account = budget.account(&self.ctx.holder, self.ctx.request.model);
            match rate.buckets.take(&account) {
                Taken::One { left } => self.notes.left_of_rate(budget, left, self.ctx.now),
                Taken::None { wait } if budget.action == UsageAction::HardLimit => {
                    return Err(Denial::of_rate(budget, wait, self.ctx.now));
                }
                Taken::None { .. } => self.notes.beyond(budget),
            }
        }
        for (server, rate) in &named.rates {
            if !self.takes {
                self.trace.step(|| Step::server(server, rate.per_minute));
            } else if let Taken::None { wait } = rate.take() {
                let now = self.ctx.now;
                return Err(Denial::of_server(server, rate.per_minute, wait, now));
            }
        }
        Ok(())
    }
}

/// Tells of budgets that are looked at, and what is left of them.
struct Watching<'w, T> {
    notes: &'w mut Notes,
    trace: &'w mut T,
}

impl<T: Trace> Watch for Watching<'_, T> {
    fn budget(&mut self, budget: &Budget, standing: &Standing) {
        self.notes.budget(budget, standing);
        self.trace.step(|| Step::budget(budget, standing));
    }

    fn unpriced(&mut self, budget: &Budget) {
        self.trace.step(|| Step::unpriced(budget));
    }
}

/// Whether a request makes a model work.
fn works(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::Messages
        | Endpoint::Batches
        | Endpoint::Complete
        | Endpoint::Sessions
        | Endpoint::Dreams => true,
        Endpoint::CountTokens
        | Endpoint::BatchResults
        | Endpoint::Models
        | Endpoint::Files
        | Endpoint::Organizations
        | Endpoint::Other => false,
    }
}

/// At list prices; of what names no model nobody can say more than that it costs something.
fn price(
    prices: &PriceBook,
    model: &str,
    (input, output): (u64, u64),
    time: Timestamp,
) -> Option<Picodollars> {
    if model.is_empty() {
        return Some(Picodollars::ZERO);
    }
    let usage = Usage {
        tokens: TokenCounts {
            input,
            output,
            ..TokenCounts::default()
        },
        ..Usage::default()
    };
    let cost = prices.price(&Charge {
        model,
        usage: &usage,
        time,
        free: None,
        span: Span::Request,
    });
    match cost.basis {
        Basis::Unpriced(_) => None,
        Basis::NoUsage | Basis::Priced(_) | Basis::Listed | Basis::Free(_) => Some(cost.amount),
    }
}

fn exceeded(budget: &Budget, standing: &Standing) -> Box<Denial> {
    let reason = match budget.limit.window {
        Window::Minute | Window::Hour => Reason::RateLimited,
        Window::Day | Window::Week | Window::Month => Reason::BudgetExhausted,
    };
    Denial::of_budget(reason, budget, standing)
}
