//! Looking at counters: whether a request would pass them, and what they say.
//!
//! Guarantees: who asks whether a request would pass changes nothing, and is told what a request that is made is told: both go
//! through one loop. Who reads many counters does so in one step, and goes through the ledger once at the most, for all those
//! that have to be made from it.

use domain::{Picodollars, Timestamp};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::counter::Counter;
use super::expected::Expected;
use super::ledger::Of;
use super::state::State;
use super::{Ask, Held, Standing, Unheld, Watch};
use crate::budget::{Account, Budget, Holder, People};
use crate::limit::{Limit, UsageAction, Window};

/// Where counters are looked at, and perhaps held on.
pub(super) trait Desk {
    /// The counter of a budget, in the window of the request.
    fn look(
        &mut self,
        ask: &Ask<'_>,
        budget: &Budget,
        people: &People,
        estimate: u64,
    ) -> (Account, i32, Standing);

    fn hold(&mut self, held: Held);
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
        if !budget.whose.counts(&ask.holder, people, ask.model) {
            continue;
        }
        let Some(amount) = expected.amount(budget.limit.metric) else {
            watch.unpriced(budget);
            if budget.allow_unpriced || budget.action != UsageAction::HardLimit {
                continue;
            }
            return Err(Unheld::Unpriced(budget));
        };
        let (account, index, standing) = desk.look(ask, budget, people, amount);
        watch.budget(budget, &standing);
        let taken = standing.spent.saturating_add(standing.held);
        let is_hard = budget.action == UsageAction::HardLimit;
        if is_hard && amount > 0 && taken.saturating_add(amount) > budget.limit.most {
            return Err(Unheld::Exceeded(budget, standing));
        }
        desk.hold(Held {
            account,
            index,
            amount,
        });
    }
    Ok(())
}

/// Changes nothing. No two budgets of one request have a counter in common, so nothing has to be held to know what comes next.
struct Looking<'s>(&'s State);

impl Desk for Looking<'_> {
    fn look(
        &mut self,
        ask: &Ask<'_>,
        budget: &Budget,
        people: &People,
        estimate: u64,
    ) -> (Account, i32, Standing) {
        let account = budget.account(&ask.holder, ask.model);
        let window = budget.limit.window;
        let counter = self.0.counters.get(&account);
        let asked = window.index(ask.at);
        let index = counter.map_or(asked, |counter| counter.index().max(asked));
        let (spent, held) = counter.map_or((0, 0), |counter| counter.in_window(index));
        let spent = if counter.is_none_or(Counter::is_stale) {
            self.0.spent(budget, &account, ask, people, index)
        } else {
            spent
        };
        let standing = Standing {
            spent,
            held,
            estimate,
            resets_at: window.start(index.saturating_add(1)),
        };
        (account, index, standing)
    }

    fn hold(&mut self, _: Held) {}
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
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
        price: impl FnOnce(u64, u64) -> Option<Picodollars>,
        watch: &mut impl Watch,
    ) -> Result<(), Unheld<'a>> {
        let at = self.latest.map_or(ask.at, |latest| latest.max(ask.at));
        let ask = Ask { at, ..*ask };
        let expected = Expected::new(&ask, &self.estimates, price);
        ask_each(&mut Looking(self), expected, &ask, budgets, people, watch)
    }

    /// What counters say. Those that can be known are made first where they aren't there.
    pub(super) fn look_at(
        &mut self,
        wanted: &[Wanted<'_>],
        people: &People,
        at: Timestamp,
    ) -> Vec<Looked> {
        let at = self.latest.map_or(at, |latest| latest.max(at));
        self.make_all(wanted, people, at);
        let looked = wanted.iter().map(|wanted| {
            let window = wanted.budget.limit.window;
            let counter = self.counters.get(&wanted.account);
            let asked = window.index(at);
            let index = counter.map_or(asked, |counter| counter.index().max(asked));
            let (spent, held) = counter.map_or((0, 0), |counter| counter.in_window(index));
            Looked {
                spent,
                held,
                resets_at: window.start(index.saturating_add(1)),
            }
        });
        looked.collect()
    }

    /// Makes those that are missing or out of date, in one go through the ledger, whatever their number.
    fn make_all(&mut self, wanted: &[Wanted<'_>], people: &People, at: Timestamp) {
        let is_missing = |wanted: &&Wanted<'_>| {
            let counter = self.counters.get(&wanted.account);
            counter.is_none_or(Counter::is_stale)
        };
        let missing = wanted.iter().filter(is_missing);
        let mut missing: Vec<_> = missing
            .map(|wanted| {
                let known = self.counters.get(&wanted.account).map(Counter::index);
                let asked = wanted.budget.limit.window.index(at);
                (wanted, known.map_or(asked, |known| known.max(asked)), 0_u64)
            })
            .collect();
        if missing.is_empty() {
            return;
        }
        let mut places: FxHashMap<Uuid, Vec<usize>> = FxHashMap::default();
        for (place, (wanted, ..)) in missing.iter().enumerate() {
            let of = places.entry(wanted.account.holder).or_default();
            of.push(place);
        }
        let of = self.what_to_walk(missing.iter().map(|(wanted, ..)| *wanted));
        let org_id = missing.first().map(|(wanted, ..)| wanted.holder.org_id);
        for (holder, entry) in org_id
            .into_iter()
            .flat_map(|org| self.ledger.accounts(org, of))
        {
            let user = holder.user_id.map_or(Uuid::nil(), |user| user.0);
            let of = [holder.org_id.0, holder.project_id.0, user, holder.key_id.0];
            for place in of.iter().filter_map(|id| places.get(id)).flatten() {
                let Some((wanted, index, spent)) = missing.get_mut(*place) else {
                    continue;
                };
                let Wanted { budget, model, .. } = **wanted;
                let Limit { metric, window, .. } = budget.limit;
                let rest = entry.used_of_rest(window, *index).map(|rest| (model, rest));
                for (model, amounts) in entry.used(window, *index).chain(rest) {
                    if budget.account(&holder, model) == wanted.account
                        && budget.whose.counts(&holder, people, model)
                    {
                        *spent = spent.saturating_add(amounts.of(metric));
                    }
                }
            }
        }
        for (wanted, index, spent) in missing {
            self.put(wanted, index, spent);
        }
    }

    /// One key's accounts, if nothing else is asked for.
    fn what_to_walk<'a>(&self, mut missing: impl Iterator<Item = &'a Wanted<'a>>) -> Of<'a> {
        let Some(first) = missing.next() else {
            return Of::All;
        };
        let key_id = first.holder.key_id;
        let is_of_key = |wanted: &Wanted<'_>| wanted.account.holder == key_id.0;
        if is_of_key(first) && missing.all(is_of_key) {
            Of::Key(key_id)
        } else {
            Of::All
        }
    }

    fn put(&mut self, wanted: &Wanted<'_>, index: i32, spent: u64) {
        let window = wanted.budget.limit.window;
        // Nobody but the counter knows what was used in a minute.
        if window == Window::Minute {
            return;
        }
        if let Some(counter) = self.counters.get_mut(&wanted.account) {
            counter.advance(index);
            counter.renew(spent);
        } else {
            self.make_room();
            let counter = Counter::new(window, index, spent);
            self.counters.insert(wanted.account, counter);
        }
    }
}
