//! What the data plane asks: may this pass; and tells: this is what it used.

use std::sync::Arc;

use domain::{Endpoint, PriceBook, ProjectId, Timestamp};

use super::Engine;
use crate::book::{Amounts, Hold, Used};
use crate::budget::Holder;
use crate::denial::Denial;
use crate::facts::{Caller, Request};
use crate::notes::{Notes, Step, Untraced};
use crate::project::ProjectRules;
use crate::walk::Walk;

/// An admitted request.
#[derive(Debug)]
#[must_use = "what it holds is given back when it is dropped"]
pub struct Admitted {
    hold: Option<Hold>,
    holder: Holder,
    at: Timestamp,
    /// The size of its body, if its answer tells what a model's answers are like: of others, estimates learn nothing.
    learn_from: Option<u64>,
    test: bool,
    /// What its caller, and the log, shall be told.
    pub notes: Notes,
}

/// Why a request isn't admitted.
#[derive(Debug)]
pub enum Refused {
    /// Nobody knows the project's rules yet.
    Unknown(ProjectId),
    /// A rule refuses.
    Denied(Box<Denial>),
}

/// Why a request would be admitted or not.
#[derive(Debug)]
pub struct Explained {
    /// All that was looked at, in order.
    pub steps: Vec<Step>,
    /// What its caller would be told.
    pub decided: Result<Notes, Box<Denial>>,
}

/// What a request used in the end.
#[derive(Debug, Clone, Copy)]
pub struct Spend<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// What was metered.
    pub amounts: Amounts,
    /// Whether the answer was a whole and good one: estimates learn from those.
    pub good: bool,
}

impl Admitted {
    /// The moment it counts at.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl Engine {
    /// Decides about a request, and holds what it will probably use.
    ///
    /// # Errors
    /// If it may not pass.
    pub fn admit(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        prices: &PriceBook,
        now: Timestamp,
    ) -> Result<Admitted, Refused> {
        self.decide(caller, request, None, prices, now)
    }

    /// The same decision with all that was looked at; nothing is held or taken.
    ///
    /// # Errors
    /// If the project's rules aren't known.
    pub fn explain(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        prices: &PriceBook,
        now: Timestamp,
    ) -> Result<Explained, Refused> {
        let rules = self.rules_of(caller)?;
        Ok(explain(&rules, caller, request, prices, now))
    }

    /// Decides about a request of which it is known already what it used.
    pub(super) fn admit_known(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        used: Amounts,
        prices: &PriceBook,
        now: Timestamp,
    ) -> Result<Admitted, Refused> {
        self.decide(caller, request, Some(used), prices, now)
    }

    fn decide(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        known: Option<Amounts>,
        prices: &PriceBook,
        now: Timestamp,
    ) -> Result<Admitted, Refused> {
        let rules = self.rules_of(caller)?;
        let mut walk = Walk::new(&rules, caller, request, prices, now, Untraced);
        walk.known = known;
        let decided = walk.decide().map_err(|mut denial| {
            denial.left = walk.notes.left;
            denial
        });
        let hold = decided.map_err(Refused::Denied)?;
        Ok(Admitted {
            hold,
            holder: walk.ctx.holder,
            at: now,
            learn_from: (request.endpoint == Endpoint::Messages).then_some(request.body_bytes),
            test: caller.test,
            notes: walk.notes,
        })
    }

    /// Replaces what a request holds by what it used.
    pub fn settle(&self, admitted: Admitted, spend: &Spend<'_>) {
        let Admitted {
            hold,
            holder,
            at,
            learn_from,
            test,
            ..
        } = admitted;
        // Keys for tests cost nothing.
        if test {
            return;
        }
        let used = Used {
            holder,
            model: spend.model,
            at,
            amounts: spend.amounts,
            learn_from: learn_from.filter(|_| spend.good),
        };
        // The rules of now: a budget that came since counts it too.
        match (self.rules_in(holder.org_id, holder.project_id), hold) {
            (Some(rules), Some(hold)) => hold.settle(&used, rules.budgets.iter(), &rules.people),
            (Some(rules), None) => {
                let budgets = rules.budgets.iter();
                rules.book.settle(&used, budgets, &rules.people);
            }
            (None, Some(hold)) => hold.settle_unruled(&used),
            (None, None) => self.book(holder.org_id).add_used(&used),
        }
    }

    fn rules_of(&self, caller: &Caller) -> Result<Arc<ProjectRules>, Refused> {
        let rules = self.rules(caller.project_id);
        rules.ok_or(Refused::Unknown(caller.project_id))
    }
}

/// Decides, holds and takes nothing, and tells all of it.
pub(super) fn explain(
    rules: &ProjectRules,
    caller: &Caller,
    request: &Request<'_>,
    prices: &PriceBook,
    now: Timestamp,
) -> Explained {
    let mut walk = Walk::new(rules, caller, request, prices, now, Vec::new());
    walk.takes = false;
    let decided = walk.decide().map(drop);
    let Walk { notes, trace, .. } = walk;
    Explained {
        steps: trace,
        decided: decided.map(|()| notes),
    }
}
