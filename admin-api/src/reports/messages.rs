//! `/v1/organizations/usage_report/messages`: tokens by minute, hour or day.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::ask::Ask;
use super::words::{AN_ID, Words};
use super::{Asked, Bracketed, Report};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::kept;
use crate::listing::Filter;
use crate::resources::usage::{Needs, Source};
use crate::role::Act;
use crate::server::Shared;
use crate::transaction::Transaction;

/// More results aren't read at once: the page ends with the bucket before.
const MOST_RESULTS: usize = 20_000;

/// A dimension: its name here, its column, the column's type.
type Dimension = (&'static str, &'static str, &'static str);

const SERVICE_ACCOUNT: &str = "service_account_id";
const DIMENSIONS: [Dimension; 8] = [
    ("account_id", "user_id", "uuid"),
    ("api_key_id", "api_key_id", "uuid"),
    ("workspace_id", "project_id", "uuid"),
    ("model", "model", "text"),
    ("service_tier", "service_tier", "text"),
    ("context_window", "context_window", "text"),
    ("inference_geo", "inference_geo", "text"),
    ("speed", "speed", "text"),
];

/// Parameters of the usage report.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "they are read by their names, see Asked")]
struct Params {
    /// From this moment's bucket on.
    starting_at: DateTime<Utc>,
    /// Buckets that end by then; if not given, up to the bucket that is now.
    ending_at: Option<DateTime<Utc>>,
    /// `1m` (60 buckets a page, 1,440 at most), `1h` (24, 168) or `1d` (7, 31), which it is if not given.
    bucket_width: Option<String>,
    /// Buckets a page.
    limit: Option<u16>,
    /// The `next_page` of the page before.
    page: Option<String>,
    /// Some of `account_id`, `api_key_id`, `context_window`, `inference_geo`, `model`, `service_account_id`, `service_tier`,
    /// `speed`, `workspace_id`.
    #[param(rename = "group_by[]")]
    group_by: Option<Vec<String>>,
    /// Users.
    #[param(rename = "account_ids[]")]
    account_ids: Option<Vec<Uuid>>,
    #[param(rename = "api_key_ids[]")]
    api_key_ids: Option<Vec<Uuid>>,
    /// Projects.
    #[param(rename = "workspace_ids[]")]
    workspace_ids: Option<Vec<Uuid>>,
    #[param(rename = "models[]")]
    models: Option<Vec<String>>,
    #[param(rename = "service_tiers[]")]
    service_tiers: Option<Vec<String>>,
    /// `0-200k`, `200k-1M`
    #[param(rename = "context_window[]")]
    context_window: Option<Vec<String>>,
    /// `global`, `us`, `not_available`
    #[param(rename = "inference_geos[]")]
    inference_geos: Option<Vec<String>>,
    /// `standard`, `fast`
    #[param(rename = "speeds[]")]
    speeds: Option<Vec<String>>,
    /// Of callers of the whole installation: of one organization alone. Not in the Claude API.
    org_id: Option<Uuid>,
}

/// The same, read.
pub(super) struct Query {
    ask: Ask,
    groups: Vec<String>,
    filter: Filter,
    needs: Needs,
}

impl Asked for Query {
    fn read(words: &mut Words) -> Result<Self> {
        let ask = Ask::read(words, &["1m", "1h", "1d"])?;
        let mut known = DIMENSIONS.map(|(name, ..)| name).to_vec();
        known.push(SERVICE_ACCOUNT);
        let groups = words.known_list("group_by", &known)?;
        let mut filter = Filter::default();
        // The first two: see `Source::sql`.
        filter.and("t.bucket >= ?", ask.from);
        filter.and("t.bucket < ?", ask.to);
        filter.and_if("t.org_id = ?", words.parsed::<Uuid>("org_id", AN_ID)?);
        let mut needs = Needs::default();
        let (accounts, keys) = (words.ids("account_ids")?, words.ids("api_key_ids")?);
        needs.keys = accounts.is_some() || keys.is_some();
        filter.and_if("t.user_id = ANY(?)", accounts);
        filter.and_if("t.api_key_id = ANY(?)", keys);
        filter.and_if("t.project_id = ANY(?)", words.ids("workspace_ids")?);
        let some = |values: Vec<String>| (!values.is_empty()).then_some(values);
        filter.and_if("t.model = ANY(?)", some(words.list("models")?));
        // Nobody is one.
        if !words.list("service_account_ids")?.is_empty() {
            filter.and_is("false");
        }
        for (name, column, known) in OF_REQUESTS {
            let values = if known.is_empty() {
                words.list(name)?
            } else {
                words.known_list(name, known)?
            };
            needs.requests |= !values.is_empty();
            filter.and_if(&format!("t.{column} = ANY(?)"), some(values));
        }
        let grouped = |names: &[&str]| groups.iter().any(|group| names.contains(&&**group));
        needs.keys |= grouped(&["account_id", "api_key_id"]);
        needs.requests |= grouped(&["service_tier", "context_window", "inference_geo", "speed"]);
        Ok(Self {
            ask,
            groups,
            filter,
            needs,
        })
    }
}

/// What can be looked for beside ids and models: the parameter, the column, the words that there are.
const OF_REQUESTS: [(&str, &str, &[&str]); 4] = [
    ("service_tiers", "service_tier", &[]),
    ("context_window", "context_window", &["0-200k", "200k-1M"]),
    ("inference_geos", "inference_geo", &[]),
    ("speeds", "speed", &["standard", "fast"]),
];

/// What was used in a bucket by one of each group; what isn't grouped by is null.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessagesUsage {
    uncached_input_tokens: i64,
    cache_creation: CacheCreation,
    cache_read_input_tokens: i64,
    output_tokens: i64,
    server_tool_use: ServerToolUse,
    /// The user.
    account_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    /// The project.
    workspace_id: Option<Uuid>,
    /// Null: there are none.
    service_account_id: Option<Uuid>,
    model: Option<String>,
    service_tier: Option<String>,
    context_window: Option<String>,
    inference_geo: Option<String>,
    speed: Option<String>,
}

/// Tokens written to the cache.
#[derive(Debug, Serialize, ToSchema)]
struct CacheCreation {
    ephemeral_5m_input_tokens: i64,
    ephemeral_1h_input_tokens: i64,
}

/// What the API's own tools did.
#[derive(Debug, Serialize, ToSchema)]
struct ServerToolUse {
    web_search_requests: i64,
}

/// Tokens by minute, hour or day, in the shape of the Claude Admin API.
#[utoipa::path(get, operation_id = "messages_usage_report", path = "/usage_report/messages", tag = "usage", params(Params), responses((status = 200, body = Report<MessagesUsage>)))]
pub(super) async fn report(
    State(shared): State<Shared>,
    caller: Caller,
    Bracketed(query): Bracketed<Query>,
) -> Result<Json<Report<MessagesUsage>>> {
    caller.may(Act::ReadUsage)?;
    let Query {
        ask,
        groups,
        mut filter,
        needs,
    } = query;
    filter.and_if("t.org_id = ?", caller.org_id);
    let source = Source::of(ask.width, needs);
    let sql = sql(&source.sql(ask.width, needs), &filter.sql(), &groups);
    let rows = Transaction::read_unguarded(&shared.pool, &caller, async |transaction| {
        kept::check(transaction, source, ("starting_at", ask.from), ask.width).await?;
        transaction.all(&sql, &filter.values()).await
    });
    let rows = rows.await?;
    let found: Result<Vec<_>> = rows.iter().map(read_row).collect();
    let mut found = found?;
    let mut whole = ask.to;
    if let Some((cut, _)) = found.get(MOST_RESULTS) {
        whole = *cut;
        found.retain(|(bucket, _)| *bucket < whole);
        if found.is_empty() {
            let message = format!("makes more than {MOST_RESULTS} results of a bucket");
            return Err(ApiError::invalid("group_by", message));
        }
    }
    Ok(Json(ask.report(found, whole)))
}

fn sql(from: &str, condition: &str, groups: &[String]) -> String {
    let is_grouped = |name: &str| groups.iter().any(|group| group == name);
    let columns = DIMENSIONS.map(|(name, column, cast)| {
        if is_grouped(name) {
            format!("t.{column} AS {name}")
        } else {
            format!("NULL::{cast} AS {name}")
        }
    });
    let grouped = DIMENSIONS.iter().filter(|(name, ..)| is_grouped(name));
    let grouped: String = grouped
        .map(|(_, column, _)| format!(", t.{column}"))
        .collect();
    format!(
        "SELECT t.bucket, {},
            sum(total_input_tokens)::bigint AS input_tokens,
            sum(total_cache_write_tokens - total_cache_write_1h_tokens)::bigint AS cache_write_5m_tokens,
            sum(total_cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
            sum(total_cache_read_tokens)::bigint AS cache_read_tokens,
            sum(total_output_tokens)::bigint AS output_tokens,
            sum(total_web_search_requests)::bigint AS web_search_requests
        FROM {from} WHERE {condition} GROUP BY t.bucket{grouped} ORDER BY t.bucket{grouped} LIMIT {}",
        columns.join(", "),
        MOST_RESULTS + 1
    )
}

fn read_row(row: &Row) -> Result<(DateTime<Utc>, MessagesUsage)> {
    let usage = MessagesUsage {
        uncached_input_tokens: row.try_get("input_tokens")?,
        cache_creation: CacheCreation {
            ephemeral_5m_input_tokens: row.try_get("cache_write_5m_tokens")?,
            ephemeral_1h_input_tokens: row.try_get("cache_write_1h_tokens")?,
        },
        cache_read_input_tokens: row.try_get("cache_read_tokens")?,
        output_tokens: row.try_get("output_tokens")?,
        server_tool_use: ServerToolUse {
            web_search_requests: row.try_get("web_search_requests")?,
        },
        account_id: row.try_get("account_id")?,
        api_key_id: row.try_get("api_key_id")?,
        workspace_id: row.try_get("workspace_id")?,
        service_account_id: None,
        model: row.try_get("model")?,
        service_tier: row.try_get("service_tier")?,
        context_window: row.try_get("context_window")?,
        inference_geo: row.try_get("inference_geo")?,
        speed: row.try_get("speed")?,
    };
    Ok((row.try_get("bucket")?, usage))
}
