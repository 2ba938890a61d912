//! Rates: a request takes one of each that counts it, or of none if one refuses.

use smallvec::SmallVec;

use super::Walk;
use super::models::Models;
use crate::budget::{Account, Budget};
use crate::denial::Denial;
use crate::limit::UsageAction;
use crate::notes::{Step, Trace};
use crate::rate::{Buckets, Taken};
use crate::registry::Used;

/// Where one was taken.
type AllTaken<'a> = SmallVec<[(&'a Buckets, Account); 8]>;

/// A rate that counts a request.
#[derive(Clone, Copy)]
enum Counting<'a> {
    Budget(&'a Budget),
    Server(&'a str, u64),
}

impl<'a, T: Trace> Walk<'a, T> {
    pub(super) fn rates(&mut self, named: &Used<'a>) -> Result<(), Box<Denial>> {
        if self.rules.rates.is_empty() && named.rates.is_empty() {
            return Ok(());
        }
        let models = Models::of(&self.ctx);
        if !self.takes {
            return self.each_rate(&models, named, |walk, rate, buckets, account| {
                let found = buckets.look(account);
                walk.trace.step(|| rate.step(found));
                walk.taken(rate, found)
            });
        }
        // Looked at first: of who is refused others notice nothing.
        self.each_rate(
            &models,
            named,
            |walk, rate, buckets, account| match buckets.look(account) {
                wait @ Taken::None { .. } => walk.taken(rate, wait),
                Taken::One { .. } => Ok(()),
            },
        )?;
        let mut taken = AllTaken::new();
        let all = self.each_rate(&models, named, |walk, rate, buckets, account| {
            let one = buckets.take(account);
            if matches!(one, Taken::One { .. }) {
                taken.push((buckets, *account));
                return walk.taken(rate, one);
            }
            // Somebody came between; of what doesn't refuse was told before.
            if rate.refuses() {
                walk.taken(rate, one)
            } else {
                Ok(())
            }
        });
        if all.is_err() {
            for (buckets, account) in taken {
                buckets.give_back(&account);
            }
        }
        all
    }

    fn each_rate(
        &mut self,
        models: &Models<'_>,
        named: &Used<'a>,
        mut ask: impl FnMut(&mut Self, Counting<'a>, &'a Buckets, &Account) -> Result<(), Box<Denial>>,
    ) -> Result<(), Box<Denial>> {
        let rules = self.rules;
        let holder = self.ctx.holder;
        for rate in &rules.rates {
            let budget = &rate.budget;
            for place in 0..models.len() {
                if models.is_first(budget, &holder, &rules.people, place) {
                    let account = budget.account(&holder, models.get(place));
                    ask(self, Counting::Budget(budget), &rate.buckets, &account)?;
                }
            }
        }
        for (server, rate) in &named.rates {
            let counting = Counting::Server(server, rate.per_minute);
            ask(self, counting, &rate.buckets, &rate.account)?;
        }
        Ok(())
    }

    /// What comes of having asked a rate for one.
    fn taken(&mut self, rate: Counting<'_>, taken: Taken) -> Result<(), Box<Denial>> {
        let now = self.ctx.now;
        match (rate, taken) {
            (Counting::Budget(budget), Taken::One { left }) => {
                self.notes.left_of_rate(budget, left, now);
                Ok(())
            }
            (Counting::Server(..), Taken::One { .. }) => Ok(()),
            (Counting::Budget(budget), Taken::None { wait }) => {
                if rate.refuses() {
                    self.notes.left_of_rate(budget, 0, now);
                    return Err(Denial::of_rate(budget, wait, now));
                }
                self.notes.beyond(budget);
                Ok(())
            }
            (Counting::Server(server, per_minute), Taken::None { wait }) => {
                Err(Denial::of_server(server, per_minute, wait, now))
            }
        }
    }
}

impl Counting<'_> {
    fn refuses(self) -> bool {
        match self {
            Self::Budget(budget) => budget.action == UsageAction::HardLimit,
            Self::Server(..) => true,
        }
    }

    fn step(self, found: Taken) -> Step {
        match self {
            Self::Budget(budget) => Step::rate(budget, found),
            Self::Server(server, per_minute) => Step::server(server, per_minute, found),
        }
    }
}
