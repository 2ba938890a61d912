//! Limits: what is counted, over which window, for whom.

use domain::time::{civil, days_to_month};
use domain::{Picodollars, Timestamp};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Input, cache reads and writes, output.
    Tokens,
    /// Input, cache reads and writes.
    InputTokens,
    /// Output, thinking included.
    OutputTokens,
    /// Requests that were admitted.
    Requests,
    /// Picodollars.
    Cost,
}

impl Metric {
    /// As policies name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Requests => "requests",
            Self::Cost => "cost",
        }
    }

    /// The unit its amounts are shown in.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Cost => "usd",
            Self::Tokens | Self::InputTokens | Self::OutputTokens | Self::Requests => self.as_str(),
        }
    }

    /// An amount for people: dollars or a count.
    #[must_use]
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Cost => Picodollars(amount).to_string(),
            Self::Tokens | Self::InputTokens | Self::OutputTokens | Self::Requests => {
                amount.to_string()
            }
        }
    }
}

/// A span of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// From second 0.
    Minute,
    /// From minute 0.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As policies name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// Which one of its kind a moment lies in: numbered in order.
    #[must_use]
    pub fn index(self, at: Timestamp) -> i32 {
        let seconds = at.unix_micros.div_euclid(1_000_000);
        let days = seconds.div_euclid(SECONDS_A_DAY);
        let index = match self {
            Self::Minute => seconds.div_euclid(60),
            Self::Hour => seconds.div_euclid(3_600),
            Self::Day => days,
            Self::Week => (days + DAYS_TO_FIRST_MONDAY).div_euclid(7),
            Self::Month => {
                let (year, month, _) = civil(days);
                year * 12 + month - 1
            }
        };
        i32::try_from(index).unwrap_or(i32::MAX)
    }

    /// When the one with this number begins.
    #[must_use]
    pub fn start(self, index: i32) -> Timestamp {
        let index = i64::from(index);
        let seconds = match self {
            Self::Minute => index * 60,
            Self::Hour => index * 3_600,
            Self::Day => index * SECONDS_A_DAY,
            Self::Week => (index * 7 - DAYS_TO_FIRST_MONDAY) * SECONDS_A_DAY,
            Self::Month => {
                days_to_month(index.div_euclid(12), index.rem_euclid(12) + 1) * SECONDS_A_DAY
            }
        };
        Timestamp {
            unix_micros: seconds.saturating_mul(1_000_000),
        }
    }
}

const SECONDS_A_DAY: i64 = 86_400;
/// 1970-01-01 was a Thursday.
const DAYS_TO_FIRST_MONDAY: i64 = 3;

/// A limit of a usage policy, a quota, or a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub metric: Metric,
    /// Over which window.
    pub window: Window,
    /// How much there may be: a count, or picodollars.
    pub most: u64,
}

/// For whom there is a counter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Per {
    /// The widest scope that counters are kept apart by.
    pub scope: Scope,
    /// Each model apart.
    pub model: bool,
}

/// One counter for each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `organization`
    Organization,
    /// `project`
    Project,
    /// `user`
    User,
    /// `key`
    Key,
}

/// What becomes of a request beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageAction {
    /// Refused.
    HardLimit,
    /// Admitted, with a warning.
    SoftLimit,
    /// Admitted, with a warning from a share of the limit on.
    Warn,
    /// Admitted, and logged.
    Log,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(days: i64, seconds: i64) -> Timestamp {
        Timestamp {
            unix_micros: (days * SECONDS_A_DAY + seconds) * 1_000_000,
        }
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        // 2026-11-25 was a Wednesday, 20,782 days after 1970-01-01.
        let now = at(20_782, 3 * 3_600 + 4 * 60 + 5);
        for (window, days, seconds) in [
            (Window::Minute, 20_782, 3 * 3_600 + 4 * 60),
            (Window::Hour, 20_782, 3 * 3_600),
            (Window::Day, 20_782, 0),
            (Window::Week, 20_780, 0),
            (Window::Month, 20_758, 0),
        ] {
            let index = window.index(now);
            assert_eq!(window.start(index), at(days, seconds), "{window:?}");
        }
        // 2024-02-29 and the day after.
        assert_eq!(
            Window::Month.start(Window::Month.index(at(19_782, 0))),
            at(19_754, 0)
        );
        assert_eq!(
            Window::Month.start(Window::Month.index(at(19_783, 0))),
            at(19_783, 0)
        );
    }

    proptest! {
        #[test]
        fn every_moment_lies_in_its_window(seconds in -3_000_000_000_i64..6_000_000_000) {
            let now = at(0, seconds);
            for window in Window::ALL {
                let index = window.index(now);
                prop_assert!(window.start(index) <= now);
                prop_assert!(now < window.start(index + 1));
                prop_assert_eq!(window.index(window.start(index)), index);
            }
        }
    }
}
