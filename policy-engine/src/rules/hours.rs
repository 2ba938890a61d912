//! Hours of the week, in UTC.

use domain::Timestamp;

use super::Faults;
use super::reader::{Item, Reader};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SECONDS_A_DAY: i64 = 86_400;
/// 1970-01-01 was a Thursday.
const FIRST_WEEKDAY: i64 = 3;

/// Spans in which something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours(Vec<Span>);

/// From a minute of some days, up to and not including another one, which is on the next day if it isn't later.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    /// From Monday.
    days: [bool; 7],
    from_minute: u16,
    to_minute: u16,
}

impl Hours {
    pub(crate) fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        item.list(faults, read_span).map(Self)
    }

    pub(crate) fn hold(&self, now: Timestamp) -> bool {
        let weekday = usize::from(weekday(now));
        let minute = minute_of_day(now);
        self.0.iter().any(|span| span.holds(weekday, minute))
    }
}

impl Span {
    fn holds(&self, weekday: usize, minute: u16) -> bool {
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        let (today, yesterday) = (on(weekday), on(weekday + 6));
        if self.from_minute < self.to_minute {
            return today && (self.from_minute..self.to_minute).contains(&minute);
        }
        (today && minute >= self.from_minute) || (yesterday && minute < self.to_minute)
    }
}

/// Days since Monday.
pub(crate) fn weekday(now: Timestamp) -> u8 {
    let days = seconds(now).div_euclid(SECONDS_A_DAY);
    u8::try_from((days + FIRST_WEEKDAY).rem_euclid(7)).unwrap_or(0)
}

/// Minutes since midnight.
pub(crate) fn minute_of_day(now: Timestamp) -> u16 {
    u16::try_from(seconds(now).rem_euclid(SECONDS_A_DAY) / 60).unwrap_or(0)
}

/// Since 1970.
pub(crate) fn seconds(now: Timestamp) -> i64 {
    now.unix_micros.div_euclid(1_000_000)
}

fn read_span(item: &Item<'_>, faults: &mut Faults) -> Option<Span> {
    let mut reader = Reader::new(item, faults);
    let days = reader.optional("days", |item, faults| item.list(faults, read_day));
    let from_minute = reader.required("from", |item, faults| read_minute(item, "23:59", faults));
    let to_minute = reader.required("to", |item, faults| read_minute(item, "24:00", faults));
    reader.finish();
    let every_day = days.is_none();
    let mut span = Span {
        days: [every_day; 7],
        from_minute: from_minute?,
        to_minute: to_minute?,
    };
    for day in days.into_iter().flatten() {
        if let Some(on) = span.days.get_mut(day) {
            *on = true;
        }
    }
    Some(span)
}

fn read_day(item: &Item<'_>, faults: &mut Faults) -> Option<usize> {
    let name = item.value.as_str();
    match DAYS.iter().position(|day| Some(*day) == name) {
        Some(day) => Some(day),
        None => item.fault(faults, format!("must be one of {}", DAYS.join(", "))),
    }
}

fn read_minute(item: &Item<'_>, last: &str, faults: &mut Faults) -> Option<u16> {
    let text = item.value.as_str().filter(|text| *text <= last);
    match text.and_then(minute) {
        Some(minute) => Some(minute),
        None => item.fault(faults, format!("must be a time from 00:00 to {last}")),
    }
}

/// Of `08:30`, two digits each.
fn minute(text: &str) -> Option<u16> {
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{faults_of, wednesday};
    use super::*;

    fn hold(hours: &Value, days: i64, hour: i64, minute: i64) -> bool {
        let mut faults = Faults::new();
        let hours = Hours::read(&Item::new("$", hours), &mut faults).unwrap();
        assert_eq!(faults, []);
        let at = wednesday(hour, minute).unix_micros + days * SECONDS_A_DAY * 1_000_000;
        hours.hold(Timestamp { unix_micros: at })
    }

    #[test]
    fn spans_are_of_the_week_and_go_over_midnight() {
        let daily = json!([{"from": "08:00", "to": "18:00"}]);
        let wednesdays = json!([{"days": ["wed"], "from": "08:00", "to": "18:00"}]);
        let nights = json!([{"days": ["wed"], "from": "22:00", "to": "06:30"}]);
        let whole = json!([{"days": ["sun", "wed"], "from": "00:00", "to": "00:00"}]);
        let from_noon = json!([{"days": ["wed"], "from": "12:00", "to": "12:00"}]);
        let until_midnight = json!([{"days": ["wed"], "from": "18:00", "to": "24:00"}]);
        let always = json!([{"from": "00:00", "to": "24:00"}]);
        let two = json!([{"from": "01:00", "to": "02:00"}, {"from": "03:00", "to": "04:00"}]);
        for (hours, days, hour, minute, expected) in [
            (&daily, 0, 8, 0, true),
            (&daily, 0, 7, 59, false),
            (&daily, 3, 17, 59, true),
            (&daily, 0, 18, 0, false),
            (&wednesdays, 0, 12, 0, true),
            (&wednesdays, 1, 12, 0, false),
            (&wednesdays, -7 * 3_000, 12, 0, true),
            (&nights, 0, 22, 0, true),
            (&nights, 0, 6, 0, false),
            (&nights, 1, 6, 29, true),
            (&nights, 1, 6, 30, false),
            (&nights, 1, 22, 0, false),
            (&whole, 0, 0, 0, true),
            (&whole, 0, 23, 59, true),
            (&whole, 1, 0, 0, false),
            (&whole, 4, 12, 0, true),
            (&from_noon, 1, 11, 59, true),
            (&from_noon, 0, 11, 59, false),
            (&until_midnight, 0, 23, 59, true),
            (&until_midnight, 1, 0, 0, false),
            (&always, 0, 0, 0, true),
            (&always, 3, 23, 59, true),
            (&two, 0, 3, 30, true),
            (&two, 0, 2, 30, false),
            (&json!([]), 0, 12, 0, false),
        ] {
            assert_eq!(
                hold(hours, days, hour, minute),
                expected,
                "{hours} {days} {hour}:{minute}"
            );
        }
    }

    #[test]
    fn every_fault_is_named() {
        let hours = json!([{"days": ["mon", "monday"], "from": "8:00", "to": "24:01"}, {"from": "00:00", "until": 1}, 5,
            {"from": "24:00", "to": "00:60"}, {"from": "+1:00", "to": "1"}]);
        assert_eq!(
            faults_of(|faults| Hours::read(&Item::new("$", &hours), faults)),
            [
                "$[0].days[1]: must be one of mon, tue, wed, thu, fri, sat, sun",
                "$[0].from: must be a time from 00:00 to 23:59",
                "$[0].to: must be a time from 00:00 to 24:00",
                "$[1].to: is missing",
                "$[1].until: is unknown; there are days, from, to",
                "$[2]: must be an object",
                "$[3].from: must be a time from 00:00 to 23:59",
                "$[3].to: must be a time from 00:00 to 24:00",
                "$[4].from: must be a time from 00:00 to 23:59",
                "$[4].to: must be a time from 00:00 to 24:00",
            ]
        );
    }
}
