//! Looking at counters: whether a request would pass them, and what they say.
//!
//! Guarantees: who asks whether a request would pass changes nothing, and is told what a request that is made is told: both go
//! through one loop. Who reads many counters does so in one step, and goes through the ledger once at the most, for all those
//! that have to be made from it, and only where the data plane would. A model that nobody used gets no counter by being asked for.

use domain::{Picodollars, Timestamp};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use uuid::Uuid;

use super::counter::Counter;
use super::expected::Expected;
use super::ledger::{Account as Entry, Of};
use super::state::State;
use super::{Ask, Standing, Unheld, Watch};
use crate::budget::{Account, Budget, Holder, People};
use crate::limit::{Limit, UsageAction, Window};

/// Where counters are looked at, and perhaps held on.
pub(super) trait Desk {
    /// Looks at the counter of a budget, in the window of the request, and holds an amount on it if that says so.
    fn hold_if(
        &mut self,
        ask: &Ask<'_>,
        budget: &Budget,
        people: &People,
        amount: u64,
        allows: impl FnOnce(&Standing) -> bool,
    );
}

/// Asks one budget after the other, up to the first that refuses.
pub(super) fn ask_each<'a, P: FnOnce(u64, u64) -> Option<Picodollars>>(
    desk: &mut impl Desk,
    mut expected: Expected<P>,
    ask: &Ask<'_>,
    budgets: impl Iterator<Item = &'a Budget>,
    people: &People,
    watch: &mut impl Watch,
) -> Result<(), Unheld<'a>> {
    for budget in budgets {
        if !budget.counts(&ask.holder, people, ask.model) {
            continue;
        }
        let Some(amount) = expected.amount(budget.limit.metric) else {
            watch.unpriced(budget);
            if budget.allow_unpriced || budget.action != UsageAction::HardLimit {
                continue;
            }
            return Err(Unheld::Unpriced(budget));
        };
        let mut exceeded = None;
        desk.hold_if(ask, budget, people, amount, |standing| {
            watch.budget(budget, standing);
            let taken = standing.spent.saturating_add(standing.held);
            let is_hard = budget.action == UsageAction::HardLimit;
            if is_hard && amount > 0 && taken.saturating_add(amount) > budget.limit.most {
                exceeded = Some(*standing);
            }
            exceeded.is_none()
        });
        if let Some(standing) = exceeded {
            return Err(Unheld::Exceeded(budget, standing));
        }
    }
    Ok(())
}

/// Changes nothing. No two budgets of one request have a counter in common, so nothing has to be held to know what comes next.
struct Looking<'s> {
    state: &'s State,
    /// What counters would begin with that aren't there, or are out of date.
    sums: FxHashMap<Account, u64>,
}

impl Desk for Looking<'_> {
    fn hold_if(
        &mut self,
        ask: &Ask<'_>,
        budget: &Budget,
        _: &People,
        amount: u64,
        allows: impl FnOnce(&Standing) -> bool,
    ) {
        let account = budget.account(&ask.holder, ask.model);
        let window = budget.limit.window;
        let counter = self.state.counters.get(&account);
        let index = in_window(counter, window, ask.at);
        let (spent, held) = counter.map_or((0, 0), |counter| counter.in_window(index));
        allows(&Standing {
            spent: self.sums.get(&account).copied().unwrap_or(spent),
            held,
            estimate: amount,
            resets_at: window.start(index.saturating_add(1)),
        });
    }
}

/// The window that a counter is in at a moment: it never goes back.
fn in_window(counter: Option<&Counter>, window: Window, at: Timestamp) -> i32 {
    let asked = window.index(at);
    counter.map_or(asked, |counter| counter.index().max(asked))
}

/// A counter that somebody wants to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) budget: &'a Budget,
    pub(crate) account: Account,
    /// Whose it is, as far as accounts tell holders apart.
    pub(crate) holder: Holder,
    pub(crate) model: &'a str,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) spent: u64,
    pub(crate) held: u64,
    pub(crate) resets_at: Timestamp,
}

impl State {
    /// Whether a request would be refused, and by what.
    pub(super) fn try_out<'a>(
        &self,
        ask: &Ask<'_>,
        budgets: impl Iterator<Item = &'a Budget> + Clone,
        people: &People,
        price: impl FnOnce(u64, u64) -> Option<Picodollars>,
        watch: &mut impl Watch,
    ) -> Result<(), Unheld<'a>> {
        let at = self.latest.map_or(ask.at, |latest| latest.max(ask.at));
        let ask = Ask { at, ..*ask };
        let counting = budgets
            .clone()
            .filter(|budget| budget.counts(&ask.holder, people, ask.model));
        let wanted: Vec<_> = counting
            .map(|budget| Wanted {
                budget,
                account: budget.account(&ask.holder, ask.model),
                holder: ask.holder,
                model: ask.model,
            })
            .collect();
        let sums = self.missing(&wanted, people, at).into_iter();
        let mut looking = Looking {
            state: self,
            sums: sums
                .map(|(wanted, _, spent)| (wanted.account, spent))
                .collect(),
        };
        let expected = Expected::new(&ask, &self.estimates, price);
        ask_each(&mut looking, expected, &ask, budgets, people, watch)
    }

    /// What counters say. Those that can be known are made first where they aren't there.
    pub(super) fn look_at(
        &mut self,
        wanted: &[Wanted<'_>],
        people: &People,
        at: Timestamp,
    ) -> Vec<Looked> {
        let at = self.latest.map_or(at, |latest| latest.max(at));
        let mut sums = FxHashMap::default();
        for (wanted, index, spent) in self.missing(wanted, people, at) {
            if !self.put(wanted, index, spent) {
                sums.insert(wanted.account, spent);
            }
        }
        let looked = wanted.iter().map(|wanted| {
            let window = wanted.budget.limit.window;
            let counter = self.counters.get(&wanted.account);
            let index = in_window(counter, window, at);
            let (spent, held) = counter.map_or((0, 0), |counter| counter.in_window(index));
            Looked {
                spent: sums.get(&wanted.account).copied().unwrap_or(spent),
                held,
                resets_at: window.start(index.saturating_add(1)),
            }
        });
        looked.collect()
    }

    /// Those that are missing or out of date, with their windows and what they have to begin with: in one go through the ledger,
    /// whatever their number. The ledger doesn't keep minutes: a counter of one that isn't there begins with nothing.
    pub(super) fn missing<'w, 'a>(
        &self,
        wanted: &'w [Wanted<'a>],
        people: &People,
        at: Timestamp,
    ) -> Vec<(&'w Wanted<'a>, i32, u64)> {
        let kept = |wanted: &&Wanted<'_>| wanted.budget.limit.window != Window::Minute;
        let missing = wanted.iter().filter(kept).filter_map(|wanted| {
            let counter = self.counters.get(&wanted.account);
            let index = in_window(counter, wanted.budget.limit.window, at);
            let is_missing = counter.is_none_or(Counter::is_stale);
            is_missing.then_some((wanted, index, 0))
        });
        let mut missing: Vec<_> = missing.collect();
        for of in walks(missing.iter().map(|(wanted, ..)| *wanted)) {
            self.walk(of, &mut missing, people);
        }
        missing
    }

    /// Adds up those that one walk is for.
    fn walk(&self, of: Of<'_>, missing: &mut [(&Wanted<'_>, i32, u64)], people: &People) {
        let mut org_id = None;
        let mut places: FxHashMap<Uuid, Vec<usize>> = FxHashMap::default();
        for (place, (wanted, ..)) in missing.iter().enumerate() {
            if of == Of::All || of == wanted.walk() {
                org_id = Some(wanted.holder.org_id);
                let of = places.entry(wanted.account.holder).or_default();
                of.push(place);
            }
        }
        let Some(org_id) = org_id else {
            return;
        };
        for (holder, entry) in self.ledger.accounts(org_id, of) {
            let user = holder.user_id.map_or(Uuid::nil(), |user| user.0);
            let of = [holder.org_id.0, holder.project_id.0, user, holder.key_id.0];
            for place in of.iter().filter_map(|id| places.get(id)).flatten() {
                if let Some((wanted, index, spent)) = missing.get_mut(*place) {
                    let more = wanted.used(&holder, entry, people, *index);
                    *spent = spent.saturating_add(more);
                }
            }
        }
    }

    /// Makes a counter, or makes it right. Answers whether it is there now: whoever reads can make up names of models, and none
    /// of those is worth a counter before it is used.
    fn put(&mut self, wanted: &Wanted<'_>, index: i32, spent: u64) -> bool {
        if let Some(counter) = self.counters.get_mut(&wanted.account) {
            counter.advance(index);
            counter.renew(spent);
            return true;
        }
        if wanted.budget.per.model && !self.ledger.knows(wanted.model) {
            return false;
        }
        self.make_room();
        let counter = Counter::new(wanted.budget.limit.window, index, spent);
        self.counters.insert(wanted.account, counter);
        true
    }
}

impl<'a> Wanted<'a> {
    fn walk(&self) -> Of<'a> {
        Of::counted(self.budget.per, &self.holder, self.model)
    }

    /// What an account of the ledger adds to it in a window. What a key used of models without a place of their own may have been
    /// the one that is asked for.
    fn used(&self, holder: &Holder, entry: &Entry, people: &People, index: i32) -> u64 {
        let Limit { metric, window, .. } = self.budget.limit;
        let rest = entry
            .used_of_rest(window, index)
            .map(|rest| (self.model, rest));
        let mut spent = 0_u64;
        for (model, amounts) in entry.used(window, index).chain(rest) {
            if self.budget.account(holder, model) == self.account
                && self.budget.counts(holder, people, model)
            {
                spent = spent.saturating_add(amounts.of(metric));
            }
        }
        spent
    }
}

/// The walks that counters are made by: one through everything where any of them needs that, else those of their keys and models.
pub(super) fn walks<'w, 'a: 'w>(
    missing: impl Iterator<Item = &'w Wanted<'a>>,
) -> SmallVec<[Of<'a>; 2]> {
    let mut walks = SmallVec::new();
    for wanted in missing {
        let of = wanted.walk();
        if of == Of::All {
            return SmallVec::from_slice(&[of]);
        }
        if !walks.contains(&of) {
            walks.push(of);
        }
    }
    walks
}
