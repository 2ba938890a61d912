//! Where usage is read from: the rollup that has what is asked for, else the rows themselves as long as they are kept.

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::group::Group;
use crate::error::{ApiError, Result};

/// How finely time is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Width {
    Minute,
    Hour,
    Day,
}

impl Width {
    fn span(self) -> Duration {
        match self {
            Self::Minute => Duration::minutes(1),
            Self::Hour => Duration::hours(1),
            Self::Day => Duration::days(1),
        }
    }

    /// What may be asked for at once, so that nobody has the database read for ever.
    fn most(self) -> Duration {
        match self {
            Self::Minute => Duration::days(1),
            Self::Hour => Duration::days(31),
            Self::Day => Duration::days(366),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
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
        let beginning = |moment: DateTime<Utc>| moment.duration_trunc(width.span());
        let outside = |_| ApiError::invalid("since", "is no moment that has a bucket");
        let since = beginning(since).map_err(outside)?;
        let last = beginning(until - Duration::microseconds(1)).map_err(outside)?;
        let until = last + width.span();
        let most = width.most();
        if until - since > most {
            let message = format!(
                "the span is too wide: by {} there may be {} days at once",
                width.name(),
                most.num_days()
            );
            return Err(ApiError::invalid("since", message));
        }
        Ok(Self { since, until })
    }
}

/// A table or view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    UsageMinute,
    UsageHourly,
    UsageDaily,
    /// Kept for 30 days.
    UsageEvents,
    /// Kept for 30 days.
    McpUsage,
}

impl Source {
    /// The one that has all of these, the cheapest first.
    pub(crate) fn of(width: Width, groups: &[Group]) -> Self {
        if groups.contains(&Group::McpServer) {
            return Self::McpUsage;
        }
        let needs_rows = groups
            .iter()
            .any(|group| matches!(group, Group::UserId | Group::ApiKeyId));
        match width {
            Width::Day => Self::UsageDaily,
            Width::Minute | Width::Hour if needs_rows => Self::UsageEvents,
            Width::Minute => Self::UsageMinute,
            Width::Hour => Self::UsageHourly,
        }
    }

    /// What stands behind FROM: `t`, with the rollups' columns. `$1` and `$2` are the span's ends.
    pub(crate) fn sql(self, width: Width) -> String {
        let bucket = format!(
            "date_bin('1 {}', time, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket",
            width.name()
        );
        match self {
            Self::UsageMinute => "usage_minute t".to_owned(),
            Self::UsageHourly => "usage_hourly t".to_owned(),
            Self::UsageDaily => "usage_daily t".to_owned(),
            // As the rollups count: neither keys for tests nor what a rule refused.
            Self::UsageEvents => format!(
                "(SELECT {bucket}, org_id, project_id, model, user_id, api_key_id, 1 AS request_count,
                    (status = 'success')::int AS success_count, input_tokens AS total_input_tokens,
                    output_tokens AS total_output_tokens, cache_read_tokens AS total_cache_read_tokens,
                    cache_write_tokens AS total_cache_write_tokens, cache_write_1h_tokens AS total_cache_write_1h_tokens,
                    web_search_requests AS total_web_search_requests, cost_cents AS total_cost_cents
                FROM usage_events WHERE time >= $1 AND time < $2
                    AND NOT metadata ? 'test' AND NOT metadata ? 'refusals') t"
            ),
            Self::McpUsage => format!(
                "(SELECT {bucket}, org_id, project_id, user_id, server_name AS mcp_server, 1 AS request_count,
                    (status IN ('success', 'requested'))::int AS success_count, NULL::bigint AS total_input_tokens,
                    NULL::bigint AS total_output_tokens, NULL::bigint AS total_cache_read_tokens,
                    NULL::bigint AS total_cache_write_tokens, NULL::bigint AS total_cache_write_1h_tokens,
                    NULL::bigint AS total_web_search_requests, NULL::numeric AS total_cost_cents
                FROM mcp_usage WHERE time >= $1 AND time < $2) t"
            ),
        }
    }
}

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
        ] {
            let span = Span::of(since, until, width).unwrap();
            assert_eq!((span.since, span.until), (at(first), at(last)), "{width:?}");
        }
        assert!(Span::of(since, since, Width::Day).is_err());
        assert!(Span::of(since, since + Duration::days(2), Width::Minute).is_err());
        assert!(Span::of(since, since + Duration::days(400), Width::Day).is_err());
    }

    #[test]
    fn rows_are_read_only_where_no_rollup_has_it() {
        for (width, groups, source) in [
            (Width::Minute, &[][..], Source::UsageMinute),
            (
                Width::Hour,
                &[Group::Model, Group::ProjectId],
                Source::UsageHourly,
            ),
            (Width::Hour, &[Group::UserId], Source::UsageEvents),
            (
                Width::Day,
                &[Group::UserId, Group::ApiKeyId],
                Source::UsageDaily,
            ),
            (Width::Day, &[Group::McpServer], Source::McpUsage),
        ] {
            assert_eq!(Source::of(width, groups), source, "{width:?} {groups:?}");
        }
    }
}
