//! `/v1/organizations/cost_report`: what a day cost, in cents.
//!
//! Guarantees: the amounts of a day add up to what its requests cost, to the picodollar, however they are told apart.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::amount;
use super::ask::Ask;
use super::split::{Books, Line, Of, day};
use super::words::{AN_ID, Words};
use super::{Asked, Bracketed, Report};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::kept;
use crate::listing::Filter;
use crate::resources::usage::Source;
use crate::role::Act;
use crate::server::Shared;
use crate::transaction::Transaction;

/// More results aren't read at once: the page ends with the day before.
const MOST_RESULTS: usize = 20_000;

/// Parameters of the cost report.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "they are read by their names, see Asked")]
struct Params {
    /// From this moment's day on.
    starting_at: DateTime<Utc>,
    /// Days that end by then; if not given, up to today.
    ending_at: Option<DateTime<Utc>>,
    /// `1d`
    bucket_width: Option<String>,
    /// Days a page: 7, 31 at most.
    limit: Option<u16>,
    /// The `next_page` of the page before.
    page: Option<String>,
    /// Some of `workspace_id`, `description`.
    #[param(rename = "group_by[]")]
    group_by: Option<Vec<String>>,
    /// Of these projects alone. Not in the Claude API.
    #[param(rename = "workspace_ids[]")]
    workspace_ids: Option<Vec<Uuid>>,
    /// Of callers of the whole installation: of one organization alone. Not in the Claude API.
    org_id: Option<Uuid>,
}

/// The same, read.
pub(super) struct Query {
    ask: Ask,
    by_workspace: bool,
    by_description: bool,
    workspaces: Option<Vec<Uuid>>,
    org_id: Option<Uuid>,
}

impl Asked for Query {
    fn read(words: &mut Words) -> Result<Self> {
        let ask = Ask::read(words, &["1d"])?;
        let groups = words.known_list("group_by", &["workspace_id", "description"])?;
        let is_grouped = |name: &str| groups.iter().any(|group| group == name);
        Ok(Self {
            ask,
            by_workspace: is_grouped("workspace_id"),
            by_description: is_grouped("description"),
            workspaces: words.ids("workspace_ids")?,
            org_id: words.parsed("org_id", AN_ID)?,
        })
    }
}

impl Query {
    /// Conditions on `t`; `$1` and `$2` are the span's ends, which are about its column of that name.
    fn filter(
        &self,
        caller: &Caller,
        moment: &str,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Filter {
        let mut filter = Filter::default();
        filter.and(&format!("t.{moment} >= ?"), span.0);
        filter.and(&format!("t.{moment} < ?"), span.1);
        filter.and_if("t.org_id = ?", caller.org_id);
        filter.and_if("t.org_id = ?", self.org_id);
        filter.and_if("t.project_id = ANY(?)", self.workspaces.clone());
        filter
    }

    fn workspace(&self) -> &'static str {
        if self.by_workspace {
            "t.project_id"
        } else {
            "NULL::uuid"
        }
    }
}

/// What a day cost, or a part of it; what isn't grouped by is null.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cost {
    /// Cents, exact.
    amount: String,
    /// `USD`
    currency: &'static str,
    /// `tokens`, `web_search` or `session_usage`.
    cost_type: Option<&'static str>,
    /// `uncached_input_tokens`, `output_tokens`, `cache_read_input_tokens`, `cache_creation.ephemeral_5m_input_tokens`,
    /// `cache_creation.ephemeral_1h_input_tokens`; null also where the cost can't be taken apart.
    token_type: Option<&'static str>,
    description: Option<String>,
    model: Option<String>,
    service_tier: Option<String>,
    context_window: Option<String>,
    inference_geo: Option<String>,
    /// The project.
    workspace_id: Option<Uuid>,
}

/// What days cost, in the shape of the Claude Admin API.
#[utoipa::path(get, operation_id = "cost_report", path = "/cost_report", tag = "usage", params(Params), responses((status = 200, body = Report<Cost>)))]
pub(super) async fn report(
    State(shared): State<Shared>,
    caller: Caller,
    Bracketed(query): Bracketed<Query>,
) -> Result<Json<Report<Cost>>> {
    caller.may(Act::ReadUsage)?;
    if query.by_description {
        return described(&shared, &caller, &query).await.map(Json);
    }
    let ask = query.ask;
    let filter = query.filter(&caller, "bucket", (ask.from, ask.to));
    let sql = format!(
        "SELECT t.bucket, {workspace} AS workspace_id, trim_scale(sum(total_cost_cents))::text AS amount
        FROM usage_by_day t WHERE {} GROUP BY 1, 2 HAVING sum(total_cost_cents) <> 0 ORDER BY 1, 2 LIMIT {}",
        filter.sql(),
        MOST_RESULTS + 1,
        workspace = query.workspace(),
    );
    let rows = Transaction::read_unguarded(&shared.pool, &caller, async |transaction| {
        transaction.all(&sql, &filter.values()).await
    });
    let rows = rows.await?;
    let found = rows.iter().map(|row| {
        let cost = Cost::of(row.try_get("amount")?, row.try_get("workspace_id")?);
        Ok((row.try_get("bucket")?, cost))
    });
    let mut found = found.collect::<Result<Vec<(DateTime<Utc>, Cost)>>>()?;
    let mut whole = ask.to;
    if let Some((cut, _)) = found.get(MOST_RESULTS) {
        whole = *cut;
        found.retain(|(day, _)| *day < whole);
    }
    if found.is_empty() && whole < ask.to {
        return Err(too_many());
    }
    Ok(Json(ask.report(found, whole)))
}

/// Day by day, each in a transaction of its own: of days whose requests are kept every request counts as what it was, of older
/// ones what the rollup says of them.
async fn described(shared: &Shared, caller: &Caller, query: &Query) -> Result<Report<Cost>> {
    let books = Books::new(shared.prices.load_full())?;
    let ask = query.ask;
    let (mut found, mut beginning) = (Vec::new(), ask.from);
    while beginning < ask.to {
        let end = ask.width.after(beginning, 1).unwrap_or(ask.to);
        let costs = costs_of_day(shared, caller, query, &books, (beginning, end)).await?;
        if found.len() + costs.len() > MOST_RESULTS {
            if found.is_empty() {
                return Err(too_many());
            }
            break;
        }
        let costs = costs.into_iter();
        found.extend(costs.map(|(line, amount)| (beginning, Cost::described(line, amount))));
        beginning = end;
    }
    Ok(ask.report(found, beginning))
}

async fn costs_of_day(
    shared: &Shared,
    caller: &Caller,
    query: &Query,
    books: &Books,
    span: (DateTime<Utc>, DateTime<Utc>),
) -> Result<BTreeMap<Line, u128>> {
    let rows = Transaction::read_unguarded(&shared.pool, caller, async |transaction| {
        let kept = kept::kept_since(transaction, Source::UsageEvents).await?;
        let of = if kept.is_none_or(|kept| span.0 >= kept) {
            Of::Requests
        } else {
            Of::Days
        };
        let filter = query.filter(caller, of.moment(), span);
        let sql = day(of, query.workspace(), &filter.sql(), filter.values().len());
        let bounds = books.bounds();
        let mut values = filter.values();
        if of == Of::Requests {
            values.push(&bounds);
        }
        transaction.all(&sql, &values).await
    });
    let rows = rows.await?;
    if rows.len() > MOST_RESULTS {
        return Err(too_many());
    }
    let mut costs = BTreeMap::new();
    for row in &rows {
        for (line, amount) in books.lines(row, span.0)? {
            *costs.entry(line).or_insert(0) += amount;
        }
    }
    Ok(costs)
}

fn too_many() -> ApiError {
    let message = format!(
        "makes more than {MOST_RESULTS} results of a day; ask for some workspace_ids[] at a time"
    );
    ApiError::invalid("group_by", message)
}

impl Cost {
    fn of(amount: String, workspace_id: Option<Uuid>) -> Self {
        Self {
            amount,
            currency: "USD",
            cost_type: None,
            token_type: None,
            description: None,
            model: None,
            service_tier: None,
            context_window: None,
            inference_geo: None,
            workspace_id,
        }
    }

    fn described(line: Line, amount: u128) -> Self {
        Self {
            cost_type: Some(line.cost_type()),
            token_type: line.token_type(),
            description: Some(line.description()),
            model: line.model,
            service_tier: line.service_tier,
            context_window: line.context_window.map(str::to_owned),
            inference_geo: line.inference_geo,
            ..Self::of(amount::cents(amount), line.workspace_id)
        }
    }
}
