//! Requests per minute: a bucket that holds a minute's worth and is refilled evenly (GCRA).
//!
//! Buckets are kept apart from rules: as long as a rate stays what it is, no reload fills them.

mod store;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::{Clock as _, ReasonablyRealtime};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};

use crate::budget::{Account, BudgetId};
pub(crate) use store::{Levels, Question};

type Limiter = RateLimiter<Question, Levels, Moments, StateInformationMiddleware>;

/// The clock that buckets are refilled by: it stands still until it is told to look. So whoever asks many buckets does so at one
/// moment, and reads the time once.
#[derive(Debug, Clone)]
pub(crate) struct Moments(Arc<Latest>);

#[derive(Debug)]
struct Latest {
    clock: Arc<dyn domain::Clock>,
    nanos: AtomicU64,
}

impl Moments {
    pub(crate) fn new(clock: Arc<dyn domain::Clock>) -> Self {
        let moments = Self(Arc::new(Latest {
            clock,
            nanos: AtomicU64::new(0),
        }));
        moments.pass();
        moments
    }

    /// Goes on to the moment that it is.
    pub(crate) fn pass(&self) {
        let nanos = self.0.clock.monotonic().as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        // Another thread may have read the time since.
        self.0.nanos.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl governor::clock::Clock for Moments {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.nanos.load(Ordering::Relaxed))
    }
}

impl ReasonablyRealtime for Moments {}

/// Where compiled rates get their buckets from.
pub(crate) trait Open {
    /// The buckets of a rate of so many a minute; the same ones for the same rate.
    fn buckets(&self, id: BudgetId, per_minute: u64) -> Buckets;
}

/// The buckets of all rates.
#[derive(Debug)]
pub(crate) struct Rates {
    clock: Moments,
    buckets: DashMap<(BudgetId, u64), Buckets>,
}

/// The buckets of one rate: one for each account.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    /// None: of nothing nothing can be taken.
    limiter: Option<Arc<Limiter>>,
    levels: Levels,
    /// How long it takes until there is one more.
    refill: Duration,
    clock: Moments,
}

/// What a bucket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There was one, and so many are left.
    One { left: u32 },
    /// There is one after so long.
    None { wait: Duration },
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One { left } => write!(f, "{left} are left after this one"),
            Self::None { .. } => f.write_str("none is left"),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

impl Rates {
    pub(crate) fn new(clock: Arc<dyn domain::Clock>) -> Self {
        Self {
            clock: Moments::new(clock),
            buckets: DashMap::new(),
        }
    }

    /// Goes on to the moment that it is.
    pub(crate) fn pass(&self) {
        self.clock.pass();
    }

    /// The same buckets for those who only ask what would be: rates that nobody has get full ones, which aren't kept.
    pub(crate) fn aside(&self) -> Aside<'_> {
        Aside(self)
    }

    /// Forgets buckets that are full, and rates that nobody has any more.
    pub(crate) fn sweep(&self) {
        self.pass();
        self.buckets.retain(|_, buckets| {
            buckets.limiter.as_ref().is_none_or(|limiter| {
                limiter.retain_recent();
                Arc::strong_count(limiter) > 1 || !limiter.is_empty()
            })
        });
    }

    pub(crate) fn len(&self) -> usize {
        let sizes = self.buckets.iter();
        sizes
            .map(|buckets| buckets.limiter.as_ref().map_or(0, |limiter| limiter.len()))
            .sum()
    }
}

impl Open for Rates {
    fn buckets(&self, id: BudgetId, per_minute: u64) -> Buckets {
        let made = self.buckets.entry((id, per_minute));
        let made = made.or_insert_with(|| Buckets::full(&self.clock, per_minute));
        made.clone()
    }
}

/// Opens what there is and keeps nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aside<'a>(&'a Rates);

impl Open for Aside<'_> {
    fn buckets(&self, id: BudgetId, per_minute: u64) -> Buckets {
        let known = self.0.buckets.get(&(id, per_minute));
        let known = known.map(|buckets| buckets.clone());
        known.unwrap_or_else(|| Buckets::full(&self.0.clock, per_minute))
    }
}

impl Buckets {
    fn full(clock: &Moments, per_minute: u64) -> Self {
        let most = u32::try_from(per_minute).unwrap_or(u32::MAX);
        let quota = NonZeroU32::new(most).map(Quota::per_minute);
        let levels = Levels::default();
        let clock = clock.clone();
        Self {
            limiter: quota.map(|quota| {
                let limiter = RateLimiter::new(quota, levels.clone(), clock.clone());
                Arc::new(limiter)
            }),
            levels,
            refill: quota.map_or(MINUTE, |quota| quota.replenish_interval()),
            clock,
        }
    }

    /// Goes on to the moment that it is: whoever asks says so once, before.
    pub(crate) fn pass(&self) {
        self.clock.pass();
    }

    /// Takes one out of an account's bucket, if there is one.
    pub(crate) fn take(&self, account: &Account) -> Taken {
        self.ask(Question::Take(*account))
    }

    /// What taking one would come to.
    pub(crate) fn look(&self, account: &Account) -> Taken {
        self.ask(Question::Look(*account))
    }

    /// Puts back one that was taken.
    pub(crate) fn give_back(&self, account: &Account) {
        self.levels.lower(account, self.refill);
    }

    fn ask(&self, question: Question) -> Taken {
        let Some(limiter) = &self.limiter else {
            return Taken::None { wait: MINUTE };
        };
        match limiter.check_key(&question) {
            Ok(state) => Taken::One {
                left: state.remaining_burst_capacity(),
            },
            Err(not_until) => Taken::None {
                wait: not_until.wait_time_from(self.clock.now()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use domain::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Default)]
    struct Manual(AtomicU64);

    impl domain::Clock for Manual {
        fn now(&self) -> Timestamp {
            Timestamp { unix_micros: 0 }
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn account(holder: u128) -> Account {
        Account {
            budget: BudgetId(1),
            holder: Uuid::from_u128(holder),
            model: 0,
        }
    }

    fn take(buckets: &Buckets, holder: u128) -> Taken {
        buckets.pass();
        buckets.take(&account(holder))
    }

    #[test]
    fn a_minutes_worth_at_once_and_then_evenly() {
        let clock = Arc::new(Manual::default());
        let rates = Rates::new(Arc::clone(&clock) as Arc<dyn domain::Clock>);
        let buckets = rates.buckets(BudgetId(1), 3);
        let taken = |holder| take(&buckets, holder);
        assert_eq!(
            [taken(1), taken(1), taken(1)],
            [2, 1, 0].map(|left| Taken::One { left })
        );
        let wait = Duration::from_secs(20);
        assert_eq!(taken(1), Taken::None { wait });
        assert_eq!(taken(2), Taken::One { left: 2 }, "another one's is full");
        clock.0.fetch_add(20_000, Ordering::Relaxed);
        assert_eq!(taken(1), Taken::One { left: 0 });
        assert!(matches!(taken(1), Taken::None { .. }));
    }

    #[test]
    fn who_only_looks_takes_nothing_and_what_is_given_back_is_there_again() {
        let clock = Arc::new(Manual::default());
        let rates = Rates::new(Arc::clone(&clock) as Arc<dyn domain::Clock>);
        let buckets = rates.buckets(BudgetId(1), 2);
        let (account, take) = (account(1), || take(&buckets, 1));
        assert_eq!(buckets.look(&account), Taken::One { left: 1 });
        assert_eq!(rates.len(), 0);
        assert_eq!(take(), Taken::One { left: 1 });
        assert_eq!(take(), Taken::One { left: 0 });
        let wait = Duration::from_secs(30);
        assert_eq!(buckets.look(&account), Taken::None { wait });
        buckets.give_back(&account);
        assert_eq!(buckets.look(&account), Taken::One { left: 0 });
        clock.0.fetch_add(300_000, Ordering::Relaxed);
        take();
        buckets.give_back(&account);
        buckets.give_back(&account);
        assert_eq!(take(), Taken::One { left: 1 }, "no more than full");
    }

    #[test]
    fn the_same_rate_has_the_same_buckets() {
        let clock = Arc::new(Manual::default());
        let rates = Rates::new(Arc::clone(&clock) as Arc<dyn domain::Clock>);
        take(&rates.buckets(BudgetId(1), 1), 1);
        let again = rates.buckets(BudgetId(1), 1);
        assert!(matches!(take(&again, 1), Taken::None { .. }));
        let changed = rates.buckets(BudgetId(1), 2);
        assert_eq!(take(&changed, 1), Taken::One { left: 1 });
        drop((again, changed));
        rates.sweep();
        assert_eq!(rates.len(), 2);
        clock.0.fetch_add(121_000, Ordering::Relaxed);
        rates.sweep();
        assert_eq!(rates.len(), 0, "full buckets are forgotten");
    }

    #[test]
    fn a_rate_of_nothing_lets_nothing_pass() {
        let rates = Rates::new(Arc::new(Manual::default()));
        let buckets = rates.buckets(BudgetId(1), 0);
        assert_eq!(buckets.take(&account(1)), Taken::None { wait: MINUTE });
    }
}
