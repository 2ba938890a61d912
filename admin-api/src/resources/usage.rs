//! `/admin/v1/usage`: what was used and what it cost, by whatever the rollups tell apart.
//!
//! Tenants have no right to these tables: the organization is in the query. Keys for tests, and what a rule refused, are left out.

mod group;
mod source;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::kept;
use crate::listing::Filter;
use crate::params::Queried;
use crate::role::Act;
use crate::server::Shared;
use crate::transaction::Transaction;
use group::Group;
use source::Span;
pub(crate) use source::{Needs, Source, Width};

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

/// Which usage.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// From the beginning of this moment's bucket on.
    since: DateTime<Utc>,
    /// Up to the end of the bucket before this moment, or around it; now, if not given.
    until: Option<DateTime<Utc>>,
    /// Some of `org_id`, `project_id`, `user_id`, `api_key_id`, `model`, `mcp_server`, with commas between.
    group_by: Option<String>,
    /// `minute` (a day at once at most), `hour` (31 days), `day` (366 days) or `month` (10 years); if not given, all in one, in whole days.
    #[param(inline)]
    bucket: Option<Width>,
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    model: Option<String>,
    /// Whether to tell percentiles of the latency: by hour, project and model the rollup has them, else requests are read, which are
    /// kept for 30 days.
    latency: Option<bool>,
    /// 1 to 1,000; 100 if not given.
    limit: Option<u16>,
    /// The `next_page` of the page before.
    page: Option<String>,
}

/// What was used, in one bucket, by one of each group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// `usage`
    r#type: &'static str,
    /// When the bucket begins; null if there is none.
    bucket: Option<DateTime<Utc>>,
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    model: Option<String>,
    mcp_server: Option<String>,
    /// Of MCP servers: calls of tools.
    requests: i64,
    /// Whatever hasn't succeeded.
    errors: i64,
    /// Uncached. This and what follows is null for MCP servers.
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cache_read_tokens: Option<i64>,
    /// All of them.
    cache_write_tokens: Option<i64>,
    /// Those of them that live an hour.
    cache_write_1h_tokens: Option<i64>,
    web_search_requests: Option<i64>,
    /// Dollars, exact.
    cost_usd: Option<String>,
    /// Percentiles of the time from the head of a request to the end of its answer; null unless `latency` asks for them.
    p50_latency_ms: Option<f64>,
    p95_latency_ms: Option<f64>,
    p99_latency_ms: Option<f64>,
    #[serde(skip)]
    place: String,
}

/// A page of it, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsagePage {
    data: Vec<Usage>,
    has_more: bool,
    /// For `page`.
    next_page: Option<String>,
    /// What is covered: whole buckets.
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// What it was read from.
    source: Source,
}

/// What was used and what it cost.
#[utoipa::path(get, operation_id = "usage_list", path = "/usage", tag = "usage", params(Query), responses((status = 200, body = UsagePage)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Queried(query): Queried<Query>,
) -> Result<Json<UsagePage>> {
    caller.may(Act::ReadUsage)?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("must be 1 to {MAX_LIMIT}");
        return Err(ApiError::invalid("limit", message));
    }
    let groups = Group::parse("group_by", query.group_by.as_deref().unwrap_or_default())?;
    let width = query.bucket.unwrap_or(Width::Day);
    let until = query.until.unwrap_or_else(Utc::now);
    let span = Span::of(query.since, until, width)?;
    let needs = query.needs(&groups);
    let source = query.source(width, needs)?;
    let begins_behind = query.page.as_deref().map(read_place).transpose()?;
    let cut = Cut {
        groups: &groups,
        bucket: query.bucket,
        latency: query.latency.unwrap_or(false).then_some(source),
    };
    let filter = query.filter(&caller, span);
    let mut values = filter.values();
    values.push(&begins_behind);
    let sql = cut.sql(
        &source.sql(width, needs),
        &filter.sql(),
        values.len(),
        limit,
    );
    let rows = Transaction::read_unguarded(&shared.pool, &caller, async |transaction| {
        kept::check(transaction, source, ("since", span.since), width).await?;
        transaction.all(&sql, &values).await
    });
    let rows = rows.await?;
    let has_more = rows.len() > usize::from(limit);
    let taken = rows.iter().take(usize::from(limit)).map(Usage::read);
    let data = taken.collect::<Result<Vec<_>>>()?;
    let last = data.last().filter(|_| has_more);
    Ok(Json(UsagePage {
        next_page: last.map(|last| write_place(&last.place)),
        has_more,
        since: span.since,
        until: span.until,
        source,
        data,
    }))
}

impl Query {
    /// What is filtered by has to be there as well.
    fn needs(&self, groups: &[Group]) -> Needs {
        let is_of_key = |group: &Group| matches!(group, Group::UserId | Group::ApiKeyId);
        let keys =
            groups.iter().any(is_of_key) || self.user_id.is_some() || self.api_key_id.is_some();
        let latency = self.latency.unwrap_or(false);
        // Percentiles can't be added up: one line of the rollup has to be one of the answer.
        let is_line = !keys
            && self.bucket == Some(Width::Hour)
            && [Group::ProjectId, Group::Model]
                .iter()
                .all(|group| groups.contains(group));
        Needs {
            mcp: groups.contains(&Group::McpServer),
            keys,
            percentiles: latency && is_line,
            requests: latency && !is_line,
        }
    }

    fn source(&self, width: Width, needs: Needs) -> Result<Source> {
        let source = Source::of(width, needs);
        let of_rows = [
            ("latency", self.latency.unwrap_or(false)),
            ("api_key_id", self.api_key_id.is_some()),
            ("model", self.model.is_some()),
        ];
        match of_rows.into_iter().find(|(_, given)| *given) {
            Some((name, _)) if source == Source::McpUsage => {
                Err(ApiError::invalid(name, "isn't known of MCP servers"))
            }
            _ => Ok(source),
        }
    }

    fn filter(&self, caller: &Caller, span: Span) -> Filter {
        let mut filter = Filter::default();
        // The first two: see `Source::sql`.
        filter.and("t.bucket >= ?", span.since);
        filter.and("t.bucket < ?", span.until);
        filter.and_if("t.org_id = ?", caller.org_id);
        filter.and_if("t.org_id = ?", self.org_id);
        filter.and_if("t.project_id = ?", self.project_id);
        filter.and_if("t.user_id = ?", self.user_id);
        filter.and_if("t.api_key_id = ?", self.api_key_id);
        filter.and_if("t.model = ?", self.model.clone());
        filter
    }
}

/// How usage is told apart.
struct Cut<'a> {
    groups: &'a [Group],
    bucket: Option<Width>,
    /// Where percentiles of the latency are from, if they are asked for.
    latency: Option<Source>,
}

impl Cut<'_> {
    fn percentiles(&self) -> String {
        let columns = [(50, "0.5"), (95, "0.95"), (99, "0.99")].map(|(percent, fraction)| {
            let value = match self.latency {
                None => "NULL::double precision".to_owned(),
                Some(Source::UsageHourly) => format!("max(p{percent}_latency_ms)"),
                Some(_) => {
                    format!("percentile_cont({fraction}) WITHIN GROUP (ORDER BY latency_ms)")
                }
            };
            format!("{value} AS p{percent}_latency_ms")
        });
        columns.join(", ")
    }

    /// A place in the list is a text made of the bucket and the groups: of these only the last may be of any length, so no two are
    /// alike.
    fn sql(&self, from: &str, condition: &str, begins_behind: usize, limit: u16) -> String {
        let bucket = match self.bucket {
            Some(_) => "t.bucket",
            None => "NULL::timestamptz",
        };
        let columns = Group::ALL.map(|group| {
            let column = group.column();
            let cast = match group {
                Group::Model | Group::McpServer => "text",
                Group::OrgId | Group::ProjectId | Group::UserId | Group::ApiKeyId => "uuid",
            };
            if self.groups.contains(&group) {
                format!("t.{column} AS {column}")
            } else {
                format!("NULL::{cast} AS {column}")
            }
        });
        let grouped: Vec<_> = self
            .groups
            .iter()
            .map(|group| format!("t.{}", group.column()))
            .chain(self.bucket.map(|_| "t.bucket".to_owned()))
            .collect();
        let by = if grouped.is_empty() {
            // Of nothing there is no row, rather than one of zeros.
            "HAVING count(*) > 0".to_owned()
        } else {
            format!("GROUP BY {}", grouped.join(", "))
        };
        let place = Group::ALL.map(|group| format!("coalesce({}::text, '')", group.column()));
        format!(
            "SELECT * FROM (
                SELECT *, (coalesce(extract(epoch FROM bucket)::bigint::text, '') || '|' || {}) COLLATE \"C\" AS place
                FROM (
                    SELECT {bucket} AS bucket, {},
                        sum(request_count)::bigint AS requests,
                        sum(request_count - success_count)::bigint AS errors,
                        sum(total_input_tokens)::bigint AS input_tokens,
                        sum(total_output_tokens)::bigint AS output_tokens,
                        sum(total_cache_read_tokens)::bigint AS cache_read_tokens,
                        sum(total_cache_write_tokens)::bigint AS cache_write_tokens,
                        sum(total_cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
                        sum(total_web_search_requests)::bigint AS web_search_requests,
                        trim_scale(sum(total_cost_cents) * 0.01)::text AS cost_usd, {percentiles}
                    FROM {from} WHERE {condition} {by}
                ) AS sums
            ) AS placed
            WHERE ${begins_behind}::text IS NULL OR place > ${begins_behind}::text
            ORDER BY place LIMIT {}",
            place.join(" || '|' || "),
            columns.join(", "),
            u32::from(limit) + 1,
            percentiles = self.percentiles(),
        )
    }
}

impl Usage {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            r#type: "usage",
            bucket: row.try_get("bucket")?,
            org_id: row.try_get("org_id")?,
            project_id: row.try_get("project_id")?,
            user_id: row.try_get("user_id")?,
            api_key_id: row.try_get("api_key_id")?,
            model: row.try_get("model")?,
            mcp_server: row.try_get("mcp_server")?,
            requests: row.try_get("requests")?,
            errors: row.try_get("errors")?,
            input_tokens: row.try_get("input_tokens")?,
            output_tokens: row.try_get("output_tokens")?,
            cache_read_tokens: row.try_get("cache_read_tokens")?,
            cache_write_tokens: row.try_get("cache_write_tokens")?,
            cache_write_1h_tokens: row.try_get("cache_write_1h_tokens")?,
            web_search_requests: row.try_get("web_search_requests")?,
            cost_usd: row.try_get("cost_usd")?,
            p50_latency_ms: row.try_get("p50_latency_ms")?,
            p95_latency_ms: row.try_get("p95_latency_ms")?,
            p99_latency_ms: row.try_get("p99_latency_ms")?,
            place: row.try_get("place")?,
        })
    }
}

/// A place as a cursor: hexadecimal, so that nobody takes it for anything else.
fn write_place(place: &str) -> String {
    place.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn read_place(cursor: &str) -> Result<String> {
    let wrong = || ApiError::invalid("page", "is no next_page of a page before");
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes = cursor.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    place
        .filter(|place| !place.is_empty() && !place.contains('\0'))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_places_and_nothing_else_is() {
        let place = "1795464000|a|claude-\u{e9}";
        assert_eq!(read_place(&write_place(place)).unwrap(), place);
        for wrong in ["", "1", "zz", "ff", "00", "+1"] {
            assert!(read_place(wrong).is_err(), "{wrong}");
        }
    }
}
