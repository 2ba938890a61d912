//! Where usage is read from: the rollup that has what is asked for, else the rows themselves as long as they are kept.

use chrono::{DateTime, Datelike as _, Duration, DurationRound as _, Months, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, Result};

/// How finely time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Width {
    Minute,
    Hour,
    Day,
    /// Of the calendar, in UTC.
    Month,
}

impl Width {
    /// What may be asked for at once, in days, so that nobody has the database read for ever.
    fn most_days(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 31,
            Self::Day => 366,
            Self::Month => 3_660,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The beginning of a moment's bucket.
    pub(crate) fn beginning(self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let every = |span| moment.duration_trunc(span).ok();
        match self {
            Self::Minute => every(Duration::minutes(1)),
            Self::Hour => every(Duration::hours(1)),
            Self::Day => every(Duration::days(1)),
            Self::Month => every(Duration::days(1))?.with_day(1),
        }
    }

    /// The beginning of so many buckets later than one that begins then.
    pub(crate) fn after(self, beginning: DateTime<Utc>, buckets: u16) -> Option<DateTime<Utc>> {
        let count = i64::from(buckets);
        match self {
            Self::Minute => beginning.checked_add_signed(Duration::minutes(count)),
            Self::Hour => beginning.checked_add_signed(Duration::hours(count)),
            Self::Day => beginning.checked_add_signed(Duration::days(count)),
            Self::Month => beginning.checked_add_months(Months::new(u32::from(buckets))),
        }
    }

    /// The first bucket that begins at a moment or later.
    pub(crate) fn first_whole(self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let beginning = self.beginning(moment)?;
        if beginning == moment {
            return Some(beginning);
        }
        self.after(beginning, 1)
    }

    /// The bucket of a moment, in SQL.
    fn bucket(self, moment: &str) -> String {
        match self {
            Self::Minute | Self::Hour | Self::Day => format!(
                "date_bin('1 {}', {moment}, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket",
                self.name()
            ),
            Self::Month => format!("date_trunc('month', {moment}, 'UTC') AS bucket"),
        }
    }
}

/// Whole buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
}

impl Span {
    /// Begins with the bucket of `since`, and ends with the one before or of `until`.
    pub(crate) fn of(since: DateTime<Utc>, until: DateTime<Utc>, width: Width) -> Result<Self> {
        crate::check::moment("since", Some(since))?;
        crate::check::moment("until", Some(until))?;
        if since >= until {
            return Err(ApiError::invalid("until", "must be after since"));
        }
        let outside = || ApiError::invalid("since", "is no moment that has a bucket");
        let since = width.beginning(since).ok_or_else(outside)?;
        let last = width.beginning(until - Duration::microseconds(1));
        let until = last.and_then(|last| width.after(last, 1));
        let until = until.ok_or_else(outside)?;
        let most = width.most_days();
        if until - since > Duration::days(most) {
            let message = format!(
                "the span is too wide: by {} there may be {most} days at once",
                width.name()
            );
            return Err(ApiError::invalid("since", message));
        }
        Ok(Self { since, until })
    }
}

/// What has to be there to be told apart or looked for, beside organization, project and model, which every rollup has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Calls of MCP tools instead of requests.
    pub(crate) mcp: bool,
    /// Users or keys: the rollup of days has them.
    pub(crate) keys: bool,
    /// Percentiles of the latency by hour, project and model: the rollup of hours has them.
    pub(crate) percentiles: bool,
    /// Something that is known of a request alone.
    pub(crate) requests: bool,
}

/// A table or view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    UsageMinute,
    UsageHourly,
    UsageDaily,
    UsageMonthly,
    /// Kept for 30 days.
    UsageEvents,
    /// Kept for 30 days.
    McpUsage,
}

impl Source {
    /// The one that has it, the cheapest first.
    pub(crate) fn of(width: Width, needs: Needs) -> Self {
        if needs.mcp {
            return Self::McpUsage;
        }
        match width {
            _ if needs.requests => Self::UsageEvents,
            Width::Minute | Width::Hour if needs.keys => Self::UsageEvents,
            Width::Minute => Self::UsageMinute,
            Width::Hour => Self::UsageHourly,
            Width::Day => Self::UsageDaily,
            Width::Month if needs.keys => Self::UsageDaily,
            Width::Month => Self::UsageMonthly,
        }
    }

    /// Its name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UsageMinute => "usage_minute",
            Self::UsageHourly => "usage_hourly",
            Self::UsageDaily => "usage_daily",
            Self::UsageMonthly => "usage_monthly",
            Self::UsageEvents => "usage_events",
            Self::McpUsage => "mcp_usage",
        }
    }

    /// What stands behind FROM: `t`, with the rollups' columns. `$1` and `$2` are the span's ends. One line of a rollup may be
    /// several, to be added up, unless percentiles are needed.
    pub(crate) fn sql(self, width: Width, needs: Needs) -> String {
        match self {
            // Where nothing but sums is needed, open buckets aren't read row by row.
            Self::UsageHourly if !needs.percentiles => "usage_by_hour t".to_owned(),
            Self::UsageDaily if !needs.keys => "usage_by_day t".to_owned(),
            Self::UsageMonthly => "usage_by_month t".to_owned(),
            Self::UsageDaily if width == Width::Month => {
                let bucket = width.bucket("bucket");
                format!(
                    "(SELECT {bucket}, org_id, project_id, model, user_id, api_key_id, request_count, success_count,
                        {TOTALS} FROM usage_daily WHERE bucket >= $1 AND bucket < $2) t"
                )
            }
            Self::UsageMinute | Self::UsageHourly | Self::UsageDaily => {
                format!("{} t", self.name())
            }
            // As the rollups count: neither keys for tests nor what a rule refused.
            Self::UsageEvents => {
                let bucket = width.bucket("time");
                format!(
                    "(SELECT {bucket}, org_id, project_id, model, user_id, api_key_id, 1 AS request_count,
                        (status = 'success')::int AS success_count, latency_ms, input_tokens AS total_input_tokens,
                        output_tokens AS total_output_tokens, cache_read_tokens AS total_cache_read_tokens,
                        cache_write_tokens AS total_cache_write_tokens, cache_write_1h_tokens AS total_cache_write_1h_tokens,
                        web_search_requests AS total_web_search_requests, cost_cents AS total_cost_cents, {OF_REQUESTS}
                    FROM usage_events WHERE time >= $1 AND time < $2
                        AND NOT metadata ? 'test' AND NOT metadata ? 'refusals') t"
                )
            }
            Self::McpUsage => {
                let bucket = width.bucket("time");
                format!(
                    "(SELECT {bucket}, org_id, project_id, user_id, server_name AS mcp_server, 1 AS request_count,
                        (status IN ('success', 'requested'))::int AS success_count, NULL::bigint AS total_input_tokens,
                        NULL::bigint AS total_output_tokens, NULL::bigint AS total_cache_read_tokens,
                        NULL::bigint AS total_cache_write_tokens, NULL::bigint AS total_cache_write_1h_tokens,
                        NULL::bigint AS total_web_search_requests, NULL::numeric AS total_cost_cents
                    FROM mcp_usage WHERE time >= $1 AND time < $2) t"
                )
            }
        }
    }
}

const TOTALS: &str =
    "total_input_tokens, total_output_tokens, total_cache_read_tokens, total_cache_write_tokens,
    total_cache_write_1h_tokens, total_web_search_requests, total_cost_cents";

/// What is told apart only in reports in the Claude API's shape, in its words.
const OF_REQUESTS: &str = "service_tier, metadata->'usage'->>'speed' AS speed,
    coalesce(metadata->'usage'->>'inference_geo', 'not_available') AS inference_geo,
    CASE WHEN input_tokens::bigint + cache_read_tokens + cache_write_tokens > 200000 THEN '200k-1M' ELSE '0-200k' END
        AS context_window";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn spans_are_whole_buckets() {
        let (since, until) = (at("2026-11-25T10:59:30Z"), at("2026-11-25T12:00:00Z"));
        for (width, first, last) in [
            (
                Width::Minute,
                "2026-11-25T10:59:00Z",
                "2026-11-25T12:00:00Z",
            ),
            (Width::Hour, "2026-11-25T10:00:00Z", "2026-11-25T12:00:00Z"),
            (Width::Day, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            (Width::Month, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            let span = Span::of(since, until, width).unwrap();
            assert_eq!((span.since, span.until), (at(first), at(last)), "{width:?}");
        }
        assert!(Span::of(since, since, Width::Day).is_err());
        assert!(Span::of(since, since + Duration::days(2), Width::Minute).is_err());
        assert!(Span::of(since, since + Duration::days(400), Width::Day).is_err());
        assert!(Span::of(since, since + Duration::days(3_661), Width::Month).is_err());
    }

    #[test]
    fn the_first_whole_bucket_begins_no_earlier() {
        for (width, moment, first) in [
            (Width::Hour, "2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"),
            (
                Width::Hour,
                "2026-11-25T10:00:00.001Z",
                "2026-11-25T11:00:00Z",
            ),
            (Width::Month, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(width.first_whole(at(moment)), Some(at(first)), "{moment}");
        }
    }

    #[test]
    fn rows_are_read_only_where_no_rollup_has_it() {
        let (keys, requests, mcp) = (true, true, true);
        for (width, needs, source) in [
            (Width::Minute, Needs::default(), Source::UsageMinute),
            (Width::Hour, Needs::default(), Source::UsageHourly),
            (
                Width::Hour,
                Needs {
                    keys,
                    ..Needs::default()
                },
                Source::UsageEvents,
            ),
            (
                Width::Day,
                Needs {
                    keys,
                    ..Needs::default()
                },
                Source::UsageDaily,
            ),
            (
                Width::Day,
                Needs {
                    requests,
                    ..Needs::default()
                },
                Source::UsageEvents,
            ),
            (Width::Month, Needs::default(), Source::UsageMonthly),
            (
                Width::Month,
                Needs {
                    keys,
                    ..Needs::default()
                },
                Source::UsageDaily,
            ),
            (
                Width::Day,
                Needs {
                    mcp,
                    ..Needs::default()
                },
                Source::McpUsage,
            ),
        ] {
            assert_eq!(Source::of(width, needs), source, "{width:?} {needs:?}");
        }
    }

    #[test]
    fn open_buckets_are_read_row_by_row_only_for_what_sums_do_not_have() {
        let (keys, percentiles) = (true, true);
        for (width, needs, from) in [
            (Width::Minute, Needs::default(), "usage_minute t"),
            (Width::Hour, Needs::default(), "usage_by_hour t"),
            (
                Width::Hour,
                Needs {
                    percentiles,
                    ..Needs::default()
                },
                "usage_hourly t",
            ),
            (Width::Day, Needs::default(), "usage_by_day t"),
            (
                Width::Day,
                Needs {
                    keys,
                    ..Needs::default()
                },
                "usage_daily t",
            ),
            (Width::Month, Needs::default(), "usage_by_month t"),
        ] {
            let source = Source::of(width, needs);
            assert_eq!(source.sql(width, needs), from, "{width:?} {needs:?}");
        }
    }
}
