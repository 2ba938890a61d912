//! The system's clock, as the gateway has it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the one place of the benchmarks that asks the system"
)]

use std::time::{Duration, Instant, SystemTime};

use domain::{Clock, Timestamp};

/// Counts from when it was made.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// One that begins now.
    #[must_use]
    pub fn started() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        ago(Duration::ZERO)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The moment this long ago.
///
/// # Panics
/// If that is before 1970.
#[must_use]
pub fn ago(age: Duration) -> Timestamp {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap() - age;
    Timestamp {
        unix_micros: i64::try_from(since_epoch.as_micros()).unwrap(),
    }
}
