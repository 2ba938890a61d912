//! Time as a value. Nothing here reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC, in microseconds since 1970-01-01: the resolution of PostgreSQL's `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Microseconds since the Unix epoch.
    pub unix_micros: i64,
}

impl Timestamp {
    /// Microseconds between 1970-01-01 and 2000-01-01, where PostgreSQL's own count begins.
    const POSTGRES_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

    /// Microseconds since 2000-01-01, as binary `timestamptz` has it.
    #[must_use]
    pub fn postgres_micros(self) -> i64 {
        self.unix_micros
            .saturating_sub(Self::POSTGRES_EPOCH_UNIX_MICROS)
    }
}

/// Where the present comes from. The binary has one that asks the system; tests have one they set.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock: for stored times, expiry and windows. It may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never runs backwards. For durations.
    fn monotonic(&self) -> Duration;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_counts_from_the_year_2000() {
        let epoch = Timestamp {
            unix_micros: 946_684_800_000_001,
        };
        assert_eq!(epoch.postgres_micros(), 1);
    }
}
