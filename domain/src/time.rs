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

    /// As RFC 3339 has it, to the second: `2026-11-25T00:00:00Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let seconds = self.unix_micros.div_euclid(1_000_000);
        let (year, month, day) = civil(seconds.div_euclid(SECONDS_A_DAY));
        let second = seconds.rem_euclid(SECONDS_A_DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        // A year of more digits has no moment that a header or a report would name.
        let mut text = *b"0000-00-00T00:00:00Z";
        for (value, last) in [
            (year.clamp(0, 9_999), 3),
            (month, 6),
            (day, 9),
            (hour, 12),
            (minute, 15),
            (second, 18),
        ] {
            put_digits(&mut text, value, last);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Microseconds since 2000-01-01, as binary `timestamptz` has it.
    #[must_use]
    pub fn postgres_micros(self) -> i64 {
        self.unix_micros
            .saturating_sub(Self::POSTGRES_EPOCH_UNIX_MICROS)
    }
}

/// Writes a number, its last digit at a place; where it is written there are zeros.
fn put_digits(text: &mut [u8], mut value: i64, last: usize) {
    for place in text.iter_mut().take(last + 1).rev() {
        if value == 0 {
            return;
        }
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

const SECONDS_A_DAY: i64 = 86_400;

/// Year, month and day of the month, both from 1, of a day counted from 1970-01-01. The calendar is counted from 1 March of year 0,
/// in eras of 400 years.
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year + i64::from(month < 3), month, day_of_month)
}

/// Days from 1970-01-01 to the first of a month, which is counted from 1.
#[must_use]
pub fn days_to_month(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month < 3);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
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
    fn moments_are_shown_in_utc() {
        for (unix_seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_599_005, "2026-11-25T09:30:05Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            let moment = Timestamp {
                unix_micros: unix_seconds * 1_000_000,
            };
            assert_eq!(moment.rfc3339(), expected);
        }
    }

    #[test]
    fn postgres_counts_from_the_year_2000() {
        let epoch = Timestamp {
            unix_micros: 946_684_800_000_001,
        };
        assert_eq!(epoch.postgres_micros(), 1);
    }
}
