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

/// A bucket that counts a request.
struct Asked<'a> {
    rate: Counting<'a>,
    buckets: &'a Buckets,
    account: Account,
}

type AllAsked<'a> = SmallVec<[Asked<'a>; 8]>;

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
        let all = self.asked(named);
        if let Some(first) = all.first() {
            first.buckets.pass();
        }
        if self.takes {
            return self.take(&all);
        }
        for asked in &all {
            let found = asked.buckets.look(&asked.account);
            self.trace.step(|| asked.rate.step(found));
            self.taken(asked.rate, found)?;
        }
        Ok(())
    }

    fn asked(&self, named: &Used<'a>) -> AllAsked<'a> {
        let (rules, holder) = (self.rules, &self.ctx.holder);
        let models = Models::of(&self.ctx);
        let (mut all, mut counters) = (AllAsked::new(), models.counters());
        for rate in &rules.rates {
            let budget = &rate.budget;
            for model in models.all() {
                if counters.is_new(budget, holder, &rules.people, model) {
                    all.push(Asked {
                        rate: Counting::Budget(budget),
                        buckets: &rate.buckets,
                        account: budget.account(holder, model),
                    });
                }
            }
        }
        let of_servers = named.rates.iter().map(|(server, rate)| Asked {
            rate: Counting::Server(server, rate.per_minute),
            buckets: &rate.buckets,
            account: rate.account,
        });
        all.extend(of_servers);
        all
    }

    /// Takes one of each, or of none.
    fn take(&mut self, all: &[Asked<'a>]) -> Result<(), Box<Denial>> {
        // Several are looked at first: of who is refused others notice nothing.
        let are_looked_at = all.len() > 1;
        if are_looked_at {
            for asked in all {
                let found = asked.buckets.look(&asked.account);
                if matches!(found, Taken::None { .. }) {
                    self.taken(asked.rate, found)?;
                }
            }
        }
        let mut taken: SmallVec<[&Asked<'a>; 8]> = SmallVec::new();
        for asked in all {
            let one = asked.buckets.take(&asked.account);
            let is_taken = matches!(one, Taken::One { .. });
            if is_taken {
                taken.push(asked);
            }
            // If there is none now, somebody came between; of what doesn't refuse was told before.
            if are_looked_at && !is_taken && !asked.rate.refuses() {
                continue;
            }
            if let Err(denial) = self.taken(asked.rate, one) {
                for Asked {
                    buckets, account, ..
                } in taken
                {
                    buckets.give_back(account);
                }
                return Err(denial);
            }
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
