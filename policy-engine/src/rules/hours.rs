//! Hours of the week, in UTC.

use domain::Timestamp;
use serde_json::Value;

use super::reader::{Reader, text, word};

const MINUTES_A_DAY: u16 = 24 * 60;
const DAYS: [(&str, u8); 7] = [
    ("mon", 0),
    ("tue", 1),
    ("wed", 2),
    ("thu", 3),
    ("fri", 4),
    ("sat", 5),
    ("sun", 6),
];

/// A span of some days. It may reach over midnight, into the day after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours {
    /// A bit for each day, Monday the lowest.
    days: u8,
    /// Minutes of the day.
    from: u16,
    to: u16,
}

impl Hours {
    pub(crate) fn read(mut reader: Reader<'_>) -> Option<Self> {
        let days = reader.list("days", word(&DAYS));
        let days = days.map_or(0x7f, |days| days.iter().fold(0, |all, day| all | 1 << day));
        let from = reader.required("from", time);
        let to = reader.required("to", time);
        reader.finish();
        Some(Self {
            days,
            from: from?,
            to: to?,
        })
    }

    /// Whether a moment lies in it.
    pub(crate) fn contain(&self, now: Timestamp) -> bool {
        let (day, minute) = day_and_minute(now);
        let begins = |day: u8| self.days & (1 << day) != 0;
        if self.from < self.to {
            return begins(day) && (self.from..self.to).contains(&minute);
        }
        let day_before = (day + 6) % 7;
        begins(day) && minute >= self.from || begins(day_before) && minute < self.to
    }
}

/// Days from Monday, and minutes from midnight.
pub(super) fn day_and_minute(now: Timestamp) -> (u8, u16) {
    let minutes = now.unix_micros.div_euclid(60_000_000);
    let day = minutes.div_euclid(i64::from(MINUTES_A_DAY));
    let minute = minutes.rem_euclid(i64::from(MINUTES_A_DAY));
    // 1970-01-01 was a Thursday.
    let day = (day + 3).rem_euclid(7);
    let day = u8::try_from(day).unwrap_or_default();
    (day, u16::try_from(minute).unwrap_or_default())
}

fn time(value: &Value) -> Result<u16, String> {
    let text = text(value)?;
    let parse = || {
        let (hour, minute) = text.split_once(':')?;
        let two_digits = |part: &str| {
            let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| plain)
        };
        let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
        let all = hour * 60 + minute;
        (minute < 60 && all <= MINUTES_A_DAY).then_some(all)
    };
    parse().ok_or_else(|| "must be a time of the day, from 00:00 to 24:00".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hours_begin_and_end_as_they_say() {
        // 2026-11-25, a Wednesday.
        let at = |days: i64, hour: i64, minute: i64| Timestamp {
            unix_micros: ((20_782 + days) * 86_400 + hour * 3_600 + minute * 60) * 1_000_000,
        };
        let office = json!({"days": ["mon", "wed"], "from": "08:00", "to": "18:00"});
        let night = json!({"days": ["wed"], "from": "22:00", "to": "06:00"});
        let always = json!({"from": "00:00", "to": "24:00"});
        for (hours, moment, expected) in [
            (&office, at(0, 8, 0), true),
            (&office, at(0, 17, 59), true),
            (&office, at(0, 18, 0), false),
            (&office, at(0, 7, 59), false),
            (&office, at(1, 12, 0), false),
            (&office, at(-2, 12, 0), true),
            (&night, at(0, 22, 0), true),
            (&night, at(1, 5, 59), true),
            (&night, at(1, 6, 0), false),
            (&night, at(0, 3, 0), false),
            (&always, at(0, 0, 0), true),
            (&always, at(3, 23, 59), true),
        ] {
            let mut faults = Vec::new();
            let read = Hours::read(Reader::new("$", hours, &mut faults)).unwrap();
            assert_eq!(read.contain(moment), expected, "{hours} {moment:?}");
        }
    }
}
