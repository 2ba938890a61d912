//! Budgets: a request holds what each of the models it names may use, on every budget that counts that model.

use domain::pricing::{Basis, Charge, Span};
use domain::{Endpoint, Picodollars, PriceBook, Timestamp, TokenCounts, Usage};

use super::Walk;
use super::models::{Counters, Models};
use crate::book::{Ask, Hold, Standing, Unheld, Watch};
use crate::budget::Budget;
use crate::denial::{Denial, Reason};
use crate::limit::{Metric, UsageAction, Window};
use crate::notes::{Notes, Step, Trace};
use crate::rules::{Context, Shown};

impl<'a, T: Trace> Walk<'a, T> {
    /// All of them or none.
    pub(super) fn budgets(&mut self) -> Result<Option<Hold>, Box<Denial>> {
        if self.ctx.caller.test || self.rules.budgets.is_empty() {
            return Ok(None);
        }
        let models = Models::of(&self.ctx);
        let mut hold = self.hold(models.own, self.rules.budgets.iter())?;
        if models.others.is_empty() {
            return Ok(hold);
        }
        let mut counters = models.counters();
        self.new_for(models.own, &mut counters);
        for model in &models.others {
            self.priced(model)?;
            let new = self.new_for(model, &mut counters);
            let more = self.hold(model, new.iter().copied())?;
            hold = match (hold, more) {
                (Some(hold), Some(more)) => Some(hold.and(more)),
                (hold, more) => hold.or(more),
            };
        }
        Ok(hold)
    }

    /// The budgets that count a model by a counter which the request doesn't have yet.
    fn new_for(&self, model: &str, counters: &mut Counters) -> Vec<&'a Budget> {
        let (rules, holder) = (self.rules, &self.ctx.holder);
        let mut is_new = |budget: &&Budget| counters.is_new(budget, holder, &rules.people, model);
        let budgets = rules.budgets.iter();
        budgets.filter(|budget| is_new(budget)).collect()
    }

    /// Holds what one of the models may use. Whoever only asks holds nothing.
    fn hold(
        &mut self,
        model: &str,
        budgets: impl Iterator<Item = &'a Budget> + Clone,
    ) -> Result<Option<Hold>, Box<Denial>> {
        let rules = self.rules;
        let Context { request, now, .. } = self.ctx;
        let ask = Ask {
            holder: self.ctx.holder,
            model,
            body_bytes: request.body_bytes,
            max_tokens: request.max_tokens,
            works: works(request.endpoint),
            known: self.known,
            at: now,
        };
        let price = |input, output| price(self.prices, model, (input, output), now);
        let mut watch = Watching {
            notes: &mut self.notes,
            trace: &mut self.trace,
        };
        let (book, people) = (&rules.book, &rules.people);
        let held = if self.takes {
            let held = book.hold(&ask, budgets, people, price, &mut watch);
            held.map(Some)
        } else {
            let tried = book.try_out(&ask, budgets, people, price, &mut watch);
            tried.map(|()| None)
        };
        held.map_err(|unheld| match unheld {
            Unheld::Exceeded(budget, standing) => exceeded(budget, &standing),
            Unheld::Unpriced(budget) => unpriced(budget, model),
        })
    }

    /// A model that may come to answer has to have a price as well, where a limit of cost counts it.
    fn priced(&mut self, model: &str) -> Result<(), Box<Denial>> {
        let rules = self.rules;
        if price(self.prices, model, (1, 1), self.ctx.now).is_some() {
            return Ok(());
        }
        let objects = |budget: &&Budget| {
            let is_hard = budget.action == UsageAction::HardLimit && !budget.allow_unpriced;
            is_hard
                && budget.limit.metric == Metric::Cost
                && budget.counts(&self.ctx.holder, &rules.people, model)
        };
        let Some(budget) = rules.budgets.iter().find(objects) else {
            return Ok(());
        };
        self.trace.step(|| Step::unpriced(budget));
        Err(unpriced(budget, model))
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

fn unpriced(budget: &Budget, model: &str) -> Box<Denial> {
    let message = format!(
        "the model {} has no price, and a limit of cost applies",
        Shown(model)
    );
    let mut denial = Denial::new(Reason::ModelUnpriced, message);
    denial.policy = budget.policy();
    denial
}
