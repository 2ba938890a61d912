//! What a book's lock protects.

use domain::{Picodollars, Timestamp};
use rustc_hash::FxHashMap;

use super::counter::Counter;
use super::estimate::Estimates;
use super::expected::Expected;
use super::ledger::{Ledger, Of};
use super::look::{Desk, ask_each};
use super::{AllHeld, Ask, Held, Standing, Unheld, Used, Watch};
use crate::budget::{Account, Budget, People};
use crate::limit::{Limit, Window};

/// Beyond so many, those go that can be made again: callers make up names of models, and each may have a counter.
const MOST_COUNTERS: usize = 1 << 18;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) counters: FxHashMap<Account, Counter>,
    pub(super) estimates: Estimates,
    /// Counters that were left when others had to go.
    needed: usize,
    /// The latest moment that was told of: windows go by it while a clock that was set back catches up.
    pub(super) latest: Option<Timestamp>,
}

impl State {
    /// A moment as windows have it: they never run backwards.
    pub(super) fn pass(&mut self, at: Timestamp) -> Timestamp {
        let latest = self.latest.map_or(at, |latest| latest.max(at));
        self.latest = Some(latest);
        latest
    }

    /// Holds on one budget after the other, up to the first that refuses.
    pub(super) fn try_hold<'a>(
        &mut self,
        ask: &Ask<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
        price: impl FnOnce(u64, u64) -> Option<Picodollars>,
        watch: &mut impl Watch,
        held: &mut AllHeld,
    ) -> Result<(), Unheld<'a>> {
        let expected = Expected::new(ask, &self.estimates, price);
        let mut desk = Holding { state: self, held };
        ask_each(&mut desk, expected, ask, budgets, people, watch)
    }

    /// Makes a counter from the ledger, or makes it right, in the window of the request.
    fn make(
        &mut self,
        budget: &Budget,
        account: Account,
        ask: &Ask<'_>,
        people: &People,
    ) -> &mut Counter {
        let window = budget.limit.window;
        let asked = window.index(ask.at);
        let index = self.counters.get(&account).map(Counter::index);
        if index.is_none() {
            self.make_room();
        }
        let index = index.map_or(asked, |index| index.max(asked));
        let spent = self.spent(budget, &account, ask, people, index);
        let counter = self.counters.entry(account);
        let counter = counter.or_insert_with(|| Counter::new(window, index, spent));
        counter.advance(index);
        counter.renew(spent);
        counter
    }

    /// Where there are many counters, those go that can be made again.
    pub(super) fn make_room(&mut self) {
        if self.counters.len() >= MOST_COUNTERS.max(self.needed.saturating_mul(2)) {
            self.counters.retain(|_, counter| !counter.is_idle());
            self.needed = self.counters.len();
        }
    }

    /// What a counter has to begin with: no less than was used. What a key used of models that have no place in the ledger may
    /// have been the one that is asked for.
    fn spent(
        &self,
        budget: &Budget,
        account: &Account,
        ask: &Ask<'_>,
        people: &People,
        index: i32,
    ) -> u64 {
        let Limit { metric, window, .. } = budget.limit;
        // The ledger doesn't keep minutes.
        if window == Window::Minute {
            return 0;
        }
        let of = Of::counted(budget.per, &ask.holder, ask.model);
        let mut spent = 0_u64;
        for (holder, entry) in self.ledger.accounts(ask.holder.org_id, of) {
            let rest = entry
                .used_of_rest(window, index)
                .map(|rest| (ask.model, rest));
            for (model, amounts) in entry.used(window, index).chain(rest) {
                if budget.account(&holder, model) == *account
                    && budget.counts(&holder, people, model)
                {
                    spent = spent.saturating_add(amounts.of(metric));
                }
            }
        }
        spent
    }

    /// Adds what was used to the ledger.
    pub(super) fn add(&mut self, used: &Used<'_>) {
        self.pass(used.at);
        self.ledger
            .add(&used.holder, used.model, used.at, &used.amounts);
    }

    /// Adds what was used to the ledger, and to the counters that there are, and gives back what was held for it.
    pub(super) fn settle<'a>(
        &mut self,
        held: &AllHeld,
        used: &Used<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
    ) {
        self.add(used);
        let holder = &used.holder;
        // Mostly it is held on just these, in this order: then each counter is looked up once.
        let mut held = held.iter().peekable();
        for budget in budgets {
            if !budget.counts(holder, people, used.model) {
                continue;
            }
            let account = budget.account(holder, used.model);
            // One that isn't there is made from the ledger when it is asked for.
            if let Some(counter) = self.counters.get_mut(&account) {
                let index = budget.limit.window.index(used.at);
                counter.spend(index, used.amounts.of(budget.limit.metric));
                if let Some(held) = held.next_if(|held| held.account == account) {
                    counter.release(held.index, held.amount);
                }
            }
        }
        self.release(held);
        if let Some(body_bytes) = used.learn_from {
            let tokens = (used.amounts.input_tokens, used.amounts.output_tokens);
            self.estimates
                .learn(holder.key_id, used.model, body_bytes, tokens);
        }
    }

    /// Gives back what was held.
    pub(super) fn release<'h>(&mut self, held: impl IntoIterator<Item = &'h Held>) {
        for Held {
            account,
            index,
            amount,
        } in held
        {
            if let Some(counter) = self.counters.get_mut(account) {
                counter.release(*index, *amount);
            }
        }
    }
}

/// Holds what it is asked to.
struct Holding<'s> {
    state: &'s mut State,
    held: &'s mut AllHeld,
}

impl Desk for Holding<'_> {
    fn hold_if(
        &mut self,
        ask: &Ask<'_>,
        budget: &Budget,
        people: &People,
        amount: u64,
        allows: impl FnOnce(&Standing) -> bool,
    ) {
        let account = budget.account(&ask.holder, ask.model);
        let window = budget.limit.window;
        let known = self.state.counters.get_mut(&account);
        let counter = match known.filter(|counter| !counter.is_stale()) {
            Some(counter) => {
                counter.advance(window.index(ask.at));
                counter
            }
            None => self.state.make(budget, account, ask, people),
        };
        // A clock that went back leaves the request in the window that is running.
        let index = counter.index();
        let standing = Standing {
            spent: counter.spent(),
            held: counter.held(),
            estimate: amount,
            resets_at: window.start(index.saturating_add(1)),
        };
        if allows(&standing) {
            counter.hold(amount);
            self.held.push(Held {
                account,
                index,
                amount,
            });
        }
    }
}
