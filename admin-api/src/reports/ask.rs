//! Which buckets are asked for, and which of them are a page.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::words::Words;
use super::{Bucket, Report};
use crate::check;
use crate::error::{ApiError, Result};
use crate::resources::usage::Width;

/// The most buckets that there can be in a page.
const PER_PAGE: [(&str, Width, u16, u16); 3] = [
    ("1m", Width::Minute, 60, 1_440),
    ("1h", Width::Hour, 24, 168),
    ("1d", Width::Day, 7, 31),
];

/// Buckets from one on to another one, and how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) width: Width,
    /// Where this page begins.
    pub(super) from: DateTime<Utc>,
    /// Where it ends.
    pub(super) to: DateTime<Utc>,
    /// Where the last page ends.
    until: DateTime<Utc>,
    /// Which report it is a page of.
    shape: u64,
}

impl Ask {
    /// Reads `starting_at`, `ending_at`, `bucket_width` (`1d`, if not given), `limit` and `page`.
    pub(super) fn read(words: &mut Words, widths: &[&str]) -> Result<Self> {
        let name = words.one("bucket_width")?;
        let name = name.as_deref().unwrap_or("1d");
        check::one_of("bucket_width", name, widths)?;
        let known = PER_PAGE.into_iter().find(|(known, ..)| *known == name);
        let Some((_, width, default, most)) = known else {
            return Err(ApiError::broken("a width of buckets without a limit"));
        };
        let limit = words.parsed("limit", &format!("1 to {most}"))?;
        let limit = limit.unwrap_or(default);
        if !(1..=most).contains(&limit) {
            return Err(ApiError::invalid("limit", format!("must be 1 to {most}")));
        }
        let page = words.one("page")?;
        let shape = words.shape();
        let (since, until) = span(words, width)?;
        let (from, until) = match &page {
            None => (since, until),
            Some(page) => {
                let (from, end) = read_page(page, shape)
                    .filter(|(from, _)| *from >= since && width.beginning(*from) == Some(*from))
                    .ok_or_else(|| ApiError::invalid("page", "is no next_page of this report"))?;
                // Nobody's pages go beyond what there can be by now.
                (from, end.min(until))
            }
        };
        let to = width.after(from, limit).unwrap_or(until).min(until);
        Ok(Self {
            width,
            from,
            to,
            until,
            shape,
        })
    }

    /// The page: every bucket of it, with what of `found` falls into it. `whole` says up to where everything was found.
    pub(super) fn report<T: Serialize>(
        &self,
        found: Vec<(DateTime<Utc>, T)>,
        whole: DateTime<Utc>,
    ) -> Report<T> {
        let mut found = found.into_iter().peekable();
        let mut data = Vec::new();
        let mut starting_at = self.from;
        while starting_at < whole {
            let Some(ending_at) = self.width.after(starting_at, 1) else {
                break;
            };
            let mut results = Vec::new();
            while let Some((_, result)) = found.next_if(|(moment, _)| *moment < ending_at) {
                results.push(result);
            }
            data.push(Bucket {
                starting_at,
                ending_at,
                results,
            });
            starting_at = ending_at;
        }
        let has_more = starting_at < self.until;
        Report {
            data,
            has_more,
            next_page: has_more.then(|| write_page(self.shape, starting_at, self.until)),
        }
    }
}

/// From the bucket of `starting_at` to the last one that has ended by `ending_at`; if that isn't given, to the one that is now.
fn span(words: &mut Words, width: Width) -> Result<(DateTime<Utc>, DateTime<Utc>)> {
    const MOMENT: &str = "a moment in RFC 3339, such as 2026-11-01T00:00:00Z";
    let missing = || ApiError::invalid("starting_at", "is required");
    let starting_at: DateTime<Utc> = words.parsed("starting_at", MOMENT)?.ok_or_else(missing)?;
    let ending_at: Option<DateTime<Utc>> = words.parsed("ending_at", MOMENT)?;
    check::moment("starting_at", Some(starting_at))?;
    check::moment("ending_at", ending_at)?;
    if ending_at.is_some_and(|ending_at| ending_at <= starting_at) {
        return Err(ApiError::invalid("ending_at", "must be after starting_at"));
    }
    let outside = || ApiError::invalid("starting_at", "is no moment that has a bucket");
    let since = width.beginning(starting_at).ok_or_else(outside)?;
    let now = width.beginning(Utc::now());
    let now = now.and_then(|now| width.after(now, 1));
    let now = now.ok_or_else(outside)?;
    let until = match ending_at {
        None => now,
        Some(ending_at) => width.beginning(ending_at).ok_or_else(outside)?.min(now),
    };
    Ok((since, until.max(since)))
}

/// Of which report it is, what a page begins with, and where the last one ends: of a report up to now, that doesn't move while it
/// is read.
fn write_page(shape: u64, from: DateTime<Utc>, until: DateTime<Utc>) -> String {
    let (from, until) = (from.timestamp(), until.timestamp());
    format!("page_{shape:016x}_{from:x}_{until:x}")
}

fn read_page(page: &str, shape: u64) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let own = format!("page_{shape:016x}_");
    let (from, until) = page.strip_prefix(&own)?.split_once('_')?;
    let moment = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seconds = i64::from_str_radix(text, 16).ok().filter(|_| is_plain)?;
        let moment = DateTime::from_timestamp(seconds, 0)?;
        check::moment("page", Some(moment)).ok()?;
        Some(moment)
    };
    let (from, until) = (moment(from)?, moment(until)?);
    (from < until).then_some((from, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<Ask> {
        let mut words = Words::read(query).unwrap();
        let ask = Ask::read(&mut words, &["1m", "1h", "1d"])?;
        words.end().unwrap();
        Ok(ask)
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const SPAN: &str = "starting_at=2026-01-01T10:30:00Z&ending_at=2026-01-20T12:00:00%2B00:00";

    #[test]
    fn pages_add_up_to_the_whole() {
        for (more, all) in [("bucket_width=1d&limit=4", 19), ("bucket_width=1h", 458)] {
            let mut begins = Vec::new();
            let mut page = String::new();
            loop {
                let query = format!("{SPAN}&{more}{page}");
                let ask = ask(&query).unwrap();
                let report = ask.report::<()>(Vec::new(), ask.to);
                begins.extend(report.data.iter().map(|bucket| bucket.starting_at));
                assert_eq!(report.has_more, report.next_page.is_some());
                match report.next_page {
                    Some(next) => page = format!("&page={next}"),
                    None => break,
                }
            }
            assert_eq!(begins.len(), all, "{more}");
            assert!(begins.is_sorted_by(|one, other| one < other), "{more}");
        }
    }

    #[test]
    fn a_page_that_is_cut_short_goes_on_where_it_was_cut() {
        let ask = ask(&format!("{SPAN}&limit=7")).unwrap();
        let whole = at("2026-01-03T00:00:00Z");
        let found = vec![(ask.from, 1), (at("2026-01-02T00:00:00Z"), 2)];
        let report = ask.report(found, whole);
        assert_eq!(report.data.len(), 2);
        assert_eq!(report.data[1].results, [2]);
        let next = read_page(&report.next_page.unwrap(), ask.shape).unwrap();
        assert_eq!(next, (whole, at("2026-01-20T00:00:00Z")));
    }

    fn next_page(query: &str) -> String {
        let ask = ask(query).unwrap();
        ask.report::<()>(Vec::new(), ask.to).next_page.unwrap()
    }

    #[test]
    fn a_page_is_of_its_own_report_and_of_no_other() {
        let page = next_page(&format!("{SPAN}&limit=4"));
        let other_start = SPAN.replace("01-01", "01-02");
        let other_end = SPAN.replace("01-20", "01-19");
        for other in [
            format!("{SPAN}&bucket_width=1h"),
            format!("{SPAN}&bucket_width=1m"),
            other_start,
            other_end,
        ] {
            let error = ask(&format!("{other}&page={page}")).unwrap_err();
            let body = error.body("");
            assert_eq!(body["error"]["details"]["path"], "page", "{other}");
        }
        for (words, same) in [
            ("a[]=1&b=2&limit=3&page=x", true),
            ("b=2&a%5B%5D=1", true),
            ("b=2&a[]=1&a[]=1", false),
            ("b=2&a[]=2", false),
            ("b=2", false),
        ] {
            let shape = |query: &str| Words::read(query).unwrap().shape();
            assert_eq!(shape(words) == shape("a[]=1&b=2"), same, "{words}");
        }
        // How many there are in a page may be another number for each.
        assert!(ask(&format!("{SPAN}&limit=9&page={page}")).is_ok());
    }

    #[test]
    fn a_page_that_somebody_made_up_ends_where_the_report_does() {
        let query = format!("{SPAN}&limit=31");
        let whole = ask(&query).unwrap();
        let forged = write_page(whole.shape, whole.from, at("9000-01-01T00:00:00Z"));
        let forged = ask(&format!("{query}&page={forged}")).unwrap();
        assert_eq!((forged.to, forged.until), (whole.to, whole.until));
        let open = "starting_at=2026-01-01T00:00:00Z&limit=1";
        let shape = ask(open).unwrap().shape;
        let today = Width::Day.beginning(Utc::now()).unwrap();
        let forged = write_page(shape, today, at("9000-01-01T00:00:00Z"));
        let forged = ask(&format!("{open}&page={forged}")).unwrap();
        assert!(
            forged
                .report::<()>(Vec::new(), forged.to)
                .next_page
                .is_none()
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "",
            "starting_at=2026-01-01",
            "starting_at=2026-01-02T00:00:00Z&ending_at=2026-01-01T00:00:00Z",
            "starting_at=2026-01-01T00:00:00Z&bucket_width=1w",
            "starting_at=2026-01-01T00:00:00Z&limit=0",
            "starting_at=2026-01-01T00:00:00Z&limit=32",
            "starting_at=2026-01-01T00:00:00Z&bucket_width=1h&limit=169",
            "starting_at=2026-01-01T00:00:00Z&page=page_1_2",
            "starting_at=2026-01-01T00:00:00Z&page=2",
            "starting_at=%2B262000-01-01T00:00:00Z",
        ] {
            assert!(ask(query).is_err(), "{query}");
        }
    }
}
