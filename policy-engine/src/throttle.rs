//! How often something may be tried by whoever tries it: for what is asked before it is known who asks.
//!
//! Memory is bounded whoever comes: what tries is hashed, under a secret of this process, into a fixed number of buckets. Two
//! that share a bucket share its rate; nobody can choose with whom.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use crate::budget::{Account, BudgetId};
use crate::rate::{Levels, Moments, Question};

type Limiter = RateLimiter<Question, Levels, Moments, NoOpMiddleware<Nanos>>;

/// A rate of attempts, for each who makes them.
#[derive(Debug)]
pub struct Throttle {
    limiter: Limiter,
    levels: Levels,
    /// How long it takes until there is one more.
    interval: Duration,
    hasher: RandomState,
    clock: Moments,
}

impl Throttle {
    /// `burst` attempts at once, and then one in each `interval`, which must not be zero.
    #[must_use]
    pub fn new(clock: Arc<dyn domain::Clock>, burst: NonZeroU32, interval: Duration) -> Self {
        let clock = Moments::new(clock);
        let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(burst));
        let levels = Levels::default();
        Self {
            limiter: RateLimiter::new(quota.allow_burst(burst), levels.clone(), clock.clone()),
            levels,
            interval: quota.replenish_interval(),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// If it is one too many: how long until the next may be made. It is not counted then.
    pub fn attempt(&self, who: impl Hash) -> Result<(), Duration> {
        self.clock.pass();
        let question = Question::Take(self.bucket(who));
        let attempted = self.limiter.check_key(&question);
        attempted.map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Doesn't count an attempt that was counted.
    pub fn give_back(&self, who: impl Hash) {
        self.levels.lower(&self.bucket(who), self.interval);
    }

    /// One of 65,536, of some tens of bytes each.
    fn bucket(&self, who: impl Hash) -> Account {
        let [a, b, ..] = self.hasher.hash_one(who).to_be_bytes();
        Account {
            budget: BudgetId(0),
            holder: Uuid::from_u128(u16::from_be_bytes([a, b]).into()),
            model: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use domain::Timestamp;

    use super::*;

    #[derive(Debug, Default)]
    struct Manual(AtomicU64);

    impl domain::Clock for Manual {
        fn now(&self) -> Timestamp {
            Timestamp { unix_micros: 0 }
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    fn throttle(burst: u32) -> (Arc<Manual>, Throttle) {
        let clock = Arc::new(Manual::default());
        let burst = NonZeroU32::new(burst).unwrap();
        let throttle = Throttle::new(
            Arc::clone(&clock) as Arc<dyn domain::Clock>,
            burst,
            Duration::from_secs(10),
        );
        (clock, throttle)
    }

    #[test]
    fn after_a_burst_attempts_come_back_evenly_whatever_was_tried_meanwhile() {
        let (clock, throttle) = throttle(2);
        assert_eq!([(); 2].map(|()| throttle.attempt("a")), [Ok(()); 2]);
        for _ in 0..100 {
            assert_eq!(throttle.attempt("a"), Err(Duration::from_secs(10)));
        }
        clock.0.fetch_add(10, Ordering::Relaxed);
        assert_eq!(throttle.attempt("a"), Ok(()));
        assert_eq!(throttle.attempt("a"), Err(Duration::from_secs(10)));
    }

    #[test]
    fn what_is_given_back_was_not_counted() {
        let (_clock, throttle) = throttle(2);
        throttle.give_back("a");
        for _ in 0..10 {
            assert_eq!(throttle.attempt("a"), Ok(()));
            throttle.give_back("a");
        }
        assert_eq!([(); 2].map(|()| throttle.attempt("a")), [Ok(()); 2]);
        assert!(throttle.attempt("a").is_err(), "no more than there were");
    }

    #[test]
    fn another_is_another() {
        let (_clock, throttle) = throttle(1);
        let passed = (0..100).filter(|who| throttle.attempt(who).is_ok()).count();
        assert!(passed > 90, "{passed}");
    }

    #[test]
    fn however_many_come_memory_is_bounded() {
        let (_clock, throttle) = throttle(1);
        for who in 0..300_000 {
            let _attempted = throttle.attempt(who);
        }
        assert!(throttle.limiter.len() <= 65_536);
    }
}
