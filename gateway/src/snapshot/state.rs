//! How the snapshot of the keys does, for readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Clock, Timestamp};

/// How the snapshot does, for readiness and metrics.
#[derive(Debug)]
pub(crate) struct SnapshotState {
    from_disk: AtomicBool,
    from_database: AtomicBool,
    /// When it was last known to be like the database, in microseconds of the monotonic clock; what another process has
    /// left may be older than that clock.
    verified_micros: AtomicI64,
    policy_faults: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// Where the keys in force come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InForce {
    /// There are none yet.
    Nothing,
    /// A snapshot that an earlier process has left: the database could not be read since the start.
    FromDisk,
    /// They were loaded, however long ago.
    FromDatabase,
}

impl SnapshotState {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            from_disk: AtomicBool::new(false),
            from_database: AtomicBool::new(false),
            verified_micros: AtomicI64::new(0),
            policy_faults: AtomicUsize::new(0),
            clock,
        }
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.in_force() != InForce::Nothing
    }

    pub(crate) fn in_force(&self) -> InForce {
        if self.from_database.load(Ordering::Acquire) {
            InForce::FromDatabase
        } else if self.from_disk.load(Ordering::Acquire) {
            InForce::FromDisk
        } else {
            InForce::Nothing
        }
    }

    pub(crate) fn age(&self) -> Duration {
        // Relaxed: a gauge.
        let verified = self.verified_micros.load(Ordering::Relaxed);
        let age = self.monotonic_micros().saturating_sub(verified);
        Duration::from_micros(u64::try_from(age).unwrap_or_default())
    }

    /// How many policies and settings can't be understood.
    pub(crate) fn policy_faults(&self) -> usize {
        // Relaxed: for people.
        self.policy_faults.load(Ordering::Relaxed)
    }

    pub(super) fn set_policy_faults(&self, count: usize) {
        self.policy_faults.store(count, Ordering::Relaxed);
    }

    /// The same as a moment. It tells the truth about what is in force, not about when it was loaded.
    pub(super) fn verified_at(&self) -> Timestamp {
        let age = i64::try_from(self.age().as_micros()).unwrap_or(i64::MAX);
        Timestamp {
            unix_micros: self.clock.now().unix_micros.saturating_sub(age),
        }
    }

    /// What is in memory is like the database.
    pub(super) fn verified(&self) {
        let now = self.monotonic_micros();
        self.verified_micros.store(now, Ordering::Relaxed);
        // Release pairs with the Acquire of `in_force`: who sees it also sees the keys.
        self.from_database.store(true, Ordering::Release);
    }

    /// What is in memory was like the database at a moment before this process.
    pub(super) fn restored(&self, verified_at: Timestamp) {
        let wall = self.clock.now().unix_micros;
        // A clock that was set back can't make it younger than nothing.
        let age = wall.saturating_sub(verified_at.unix_micros).max(0);
        let verified = self.monotonic_micros().saturating_sub(age);
        self.verified_micros.store(verified, Ordering::Relaxed);
        self.from_disk.store(true, Ordering::Release);
    }

    fn monotonic_micros(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Seconds of the wall and since the start.
    #[derive(Debug)]
    struct SetClock(Mutex<(i64, u64)>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            at(self.0.lock().unwrap().0)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp {
            unix_micros: seconds * 1_000_000,
        }
    }

    fn starting_at(seconds: i64) -> (SnapshotState, Arc<SetClock>) {
        let clock = Arc::new(SetClock(Mutex::new((seconds, 0))));
        let state = SnapshotState::new(Arc::<SetClock>::clone(&clock));
        (state, clock)
    }

    #[test]
    fn what_another_process_left_is_as_old_as_it_was_when_it_was_left_and_grows_older() {
        let (state, clock) = starting_at(10_000);
        assert_eq!(state.in_force(), InForce::Nothing);
        state.restored(at(9_000));
        assert_eq!(state.in_force(), InForce::FromDisk);
        assert_eq!(state.age(), Duration::from_secs(1_000));
        *clock.0.lock().unwrap() = (10_007, 7);
        assert_eq!(state.age(), Duration::from_secs(1_007));
        assert_eq!(state.verified_at(), at(9_000));
    }

    #[test]
    fn what_the_database_said_is_young_again() {
        let (state, clock) = starting_at(10_000);
        state.restored(at(9_000));
        *clock.0.lock().unwrap() = (10_007, 7);
        state.verified();
        assert_eq!(state.in_force(), InForce::FromDatabase);
        assert_eq!(state.age(), Duration::ZERO);
        assert_eq!(state.verified_at(), at(10_007));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_younger_than_new() {
        let (state, _clock) = starting_at(10_000);
        state.restored(at(11_000));
        assert_eq!(state.age(), Duration::ZERO);
    }
}
