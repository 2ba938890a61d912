//! One organization's budgets: what was settled, what is held, what to expect.
//!
//! Guarantees: a request holds its estimate on all budgets that apply or on none, in one step that nothing comes between; a hold is
//! given back exactly once, on whatever path it ends; what was settled counts in every budget that is there, and in every one
//! that appears later in the same window. Everything is behind one lock, which is held for some table look-ups.

mod amounts;
mod counter;
mod estimate;
mod expected;
mod hold;
mod ledger;
mod look;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{ApiKeyId, Picodollars, ProjectId, Timestamp};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

pub use amounts::Amounts;
pub(crate) use hold::Hold;

use crate::budget::{Account, Budget, BudgetId, Holder, People};
use crate::limit::Window;
use counter::Counter;
pub(crate) use look::{Looked, Wanted};
use state::State;

/// One organization's.
#[derive(Debug, Default)]
pub(crate) struct Book {
    state: Mutex<State>,
}

/// A request, as far as budgets look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) holder: Holder,
    pub(crate) model: &'a str,
    pub(crate) body_bytes: u64,
    pub(crate) max_tokens: u64,
    /// Whether it makes a model work. Others count as requests only.
    pub(crate) works: bool,
    /// What it uses, where that is known already.
    pub(crate) known: Option<Amounts>,
    pub(crate) at: Timestamp,
}

/// What a request used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used<'a> {
    pub(crate) holder: Holder,
    /// The model that answered.
    pub(crate) model: &'a str,
    /// When it was admitted.
    pub(crate) at: Timestamp,
    pub(crate) amounts: Amounts,
    /// The size of its body, if it was answered well: estimates learn from it.
    pub(crate) learn_from: Option<u64>,
}

/// Part of a hold.
#[derive(Debug, Clone, Copy)]
struct Held {
    account: Account,
    index: i32,
    amount: u64,
}

type AllHeld = SmallVec<[Held; 6]>;

/// A budget and its numbers at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) spent: u64,
    pub(crate) held: u64,
    /// What the request would take.
    pub(crate) estimate: u64,
    /// When the window is over.
    pub(crate) resets_at: Timestamp,
}

/// Told of each budget on the way.
pub(crate) trait Watch {
    fn budget(&mut self, budget: &Budget, standing: &Standing);

    /// A limit of cost, where the model has no price.
    fn unpriced(&mut self, budget: &Budget);
}

/// Why nothing is held.
#[derive(Debug)]
pub(crate) enum Unheld<'a> {
    /// A hard limit would be passed.
    Exceeded(&'a Budget, Standing),
    /// A limit of cost, and the model has no price.
    Unpriced(&'a Budget),
}

impl Book {
    /// Holds what a request will probably use. `price` gives the cost of input and output, if the model has a price.
    pub(crate) fn hold<'a>(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
        price: impl FnOnce(u64, u64) -> Option<Picodollars>,
        watch: &mut impl Watch,
    ) -> Result<Hold, Unheld<'a>> {
        let mut held = AllHeld::new();
        let mut state = self.lock();
        let at = state.pass(ask.at);
        let ask = Ask { at, ..*ask };
        let ended = state.try_hold(&ask, budgets, people, price, watch, &mut held);
        drop(state);
        // Made first: what it holds is given back if that didn't go well to the end.
        let hold = Hold::new(Arc::clone(self), held, at);
        ended.map(|()| hold)
    }

    /// Tells what holding would, and changes nothing.
    pub(crate) fn try_out<'a>(
        &self,
        ask: &Ask<'_>,
        budgets: impl Iterator<Item = &'a Budget> + Clone,
        people: &People,
        price: impl FnOnce(u64, u64) -> Option<Picodollars>,
        watch: &mut impl Watch,
    ) -> Result<(), Unheld<'a>> {
        self.lock().try_out(ask, budgets, people, price, watch)
    }

    /// What counters say, all at one moment. Those that aren't there yet are made, as the next request would make them.
    pub(crate) fn look(
        &self,
        wanted: &[Wanted<'_>],
        people: &People,
        at: Timestamp,
    ) -> Vec<Looked> {
        self.lock().look_at(wanted, people, at)
    }

    /// Adds what was used, where nothing was held for it.
    pub(crate) fn settle<'a>(
        &self,
        used: &Used<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
    ) {
        self.exchange(&AllHeld::new(), used, budgets, people);
    }

    /// Adds what was used under rules that aren't known; counters are looked up again where they can be.
    pub(crate) fn add_used(&self, used: &Used<'_>) {
        self.exchange_unruled(&AllHeld::new(), used);
    }

    /// The same, and gives back what was held for it.
    fn exchange_unruled(&self, held: &AllHeld, used: &Used<'_>) {
        let mut state = self.lock();
        state.add(used);
        state.release(held);
        state.counters.values_mut().for_each(Counter::outdate);
    }

    /// Adds what was used, and gives back what was held for it.
    fn exchange<'a>(
        &self,
        held: &AllHeld,
        used: &Used<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
    ) {
        self.lock().settle(held, used, budgets, people);
    }

    /// Adds what was settled before this process began; counters are looked up again where they can be.
    pub(crate) fn add_settled<'a>(
        &self,
        settled: impl Iterator<Item = (Holder, &'a str, (Window, i32), Amounts)>,
    ) {
        let mut state = self.lock();
        for (holder, model, window, amounts) in settled {
            state.pass(window.0.start(window.1));
            state.ledger.add_to(&holder, model, window, &amounts);
        }
        state.counters.values_mut().for_each(Counter::outdate);
    }

    /// What keys used at a moment cost more or less than is known of it; counters are looked up again, once for all of it.
    pub(crate) fn correct<'a>(
        &self,
        corrections: impl Iterator<Item = (ApiKeyId, ProjectId, &'a str, Timestamp, i64)>,
    ) {
        let mut state = self.lock();
        for (key_id, project_id, model, at, by) in corrections {
            state.ledger.correct((key_id, project_id), model, at, by);
        }
        state.counters.values_mut().for_each(Counter::outdate);
    }

    /// Budgets are in force that weren't, and have missed what was settled meanwhile.
    pub(crate) fn look_again(&self, budgets: &FxHashSet<BudgetId>) {
        let mut state = self.lock();
        let counters = state.counters.iter_mut();
        counters
            .filter(|(account, _)| budgets.contains(&account.budget))
            .for_each(|(_, counter)| counter.outdate());
    }

    /// Forgets windows that are over, and counters of budgets that aren't in force, unless something is held on them.
    pub(crate) fn sweep(&self, now: Timestamp, in_force: &FxHashSet<BudgetId>) {
        let mut state = self.lock();
        let now = state.pass(now);
        state.ledger.sweep(now);
        state.counters.retain(|account, counter| {
            let is_needed = in_force.contains(&account.budget) || !counter.is_idle();
            is_needed && !counter.is_over(now)
        });
        state.make_room();
    }

    /// Accounts of keys, and counters.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.ledger.len(), state.counters.len())
    }

    fn release(&self, held: &AllHeld) {
        if !held.is_empty() {
            self.lock().release(held);
        }
    }

    /// Whoever panicked with the lock left numbers that are right one by one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
