//! `/admin/v1/organizations/{id}/subscription`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::organizations::Organization;
use super::{Deleted, organizations};
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::check;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::limits::InUse;
use crate::listing::{self, Listed};
use crate::params::Id;
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;

const PLANS: &[&str] = &["free", "team", "pro", "enterprise"];
const CYCLES: &[&str] = &["monthly", "yearly"];
const STATUSES: &[&str] = &["active", "past_due", "canceled", "trialing"];
const LIMITS: &[&str] = &[
    "max_users",
    "max_projects",
    "max_mcp_servers",
    "max_tokens_per_month",
];
/// More the data plane doesn't take for a limit.
const MOST: u64 = 1_000_000_000_000_000;

/// What an organization pays for. Without one it has no plan, and no limits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscription {
    id: Uuid,
    /// `subscription`
    r#type: &'static str,
    org_id: Uuid,
    /// `free`, `team`, `pro` or `enterprise`
    plan: String,
    /// `monthly` or `yearly`
    billing_cycle: String,
    /// `active`, `trialing`, `past_due` (requests are warned) or `canceled` (requests are refused).
    status: String,
    /// `max_users`, `max_projects`, `max_mcp_servers`, `max_tokens_per_month`; null or absent: no limit.
    #[schema(value_type = Object)]
    limits: Value,
    /// How much of the limits is in use.
    in_use: InUse,
    current_period_start: Option<DateTime<Utc>>,
    current_period_end: Option<DateTime<Utc>>,
    trial_end: Option<DateTime<Utc>>,
    canceled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for Subscription {
    const TABLE: &'static str = "subscriptions";
    const NAME: &'static str = "subscription";
    const OF_ORG: &'static str = "t.org_id = ?";
    const COLUMNS: &'static str = "t.id, t.org_id, t.plan, t.billing_cycle, t.status, t.limits, t.current_period_start, \
        t.current_period_end, t.trial_end, t.canceled_at, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "subscription",
            org_id: row.try_get("org_id")?,
            plan: row.try_get("plan")?,
            billing_cycle: row.try_get("billing_cycle")?,
            status: row.try_get("status")?,
            limits: row.try_get("limits")?,
            in_use: InUse::default(),
            current_period_start: row.try_get("current_period_start")?,
            current_period_end: row.try_get("current_period_end")?,
            trial_end: row.try_get("trial_end")?,
            canceled_at: row.try_get("canceled_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for Subscription {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// An organization's, if it has one.
async fn of(
    transaction: &Transaction,
    caller: &Caller,
    org_id: Uuid,
) -> Result<Option<Subscription>> {
    let sql = "SELECT id FROM subscriptions WHERE org_id = $1";
    let Some(row) = transaction.maybe(sql, &[&org_id]).await? else {
        return Ok(None);
    };
    let found: Subscription = listing::find(transaction, caller, row.try_get(0)?).await?;
    let in_use = InUse::count(transaction, org_id).await?;
    Ok(Some(Subscription { in_use, ..found }))
}

fn required(found: Option<Subscription>) -> Result<Subscription> {
    found.ok_or_else(|| ApiError::not_found(Subscription::NAME))
}

/// An organization's subscription.
#[utoipa::path(get, operation_id = "subscriptions_show", path = "/organizations/{id}/subscription", tag = "subscriptions", params(("id" = Uuid, Path)), responses((status = 200, body = Subscription)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(org_id): Id,
) -> Result<Tagged<Subscription>> {
    caller.may(Act::ReadOrganizations)?;
    let found = Transaction::read(&shared.pool, &caller, async |transaction| {
        listing::find::<Organization>(transaction, &caller, org_id).await?;
        of(transaction, &caller, org_id).await.and_then(required)
    });
    found.await.map(Tagged::ok)
}

/// A subscription, or what changes of it. What is absent stays, or is the default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    #[serde(default, deserialize_with = "some")]
    plan: Option<String>,
    #[serde(default, deserialize_with = "some")]
    billing_cycle: Option<String>,
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
    /// Of a new subscription merged into the defaults; else all of them, in place of those before.
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    limits: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    current_period_start: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    current_period_end: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    trial_end: Option<Option<DateTime<Utc>>>,
}

impl Terms {
    fn check(&self) -> Result<()> {
        for (path, word, words) in [
            ("plan", &self.plan, PLANS),
            ("billing_cycle", &self.billing_cycle, CYCLES),
            ("status", &self.status, STATUSES),
        ] {
            if let Some(word) = word {
                check::one_of(path, word, words)?;
            }
        }
        for (path, moment) in [
            ("current_period_start", self.current_period_start),
            ("current_period_end", self.current_period_end),
            ("trial_end", self.trial_end),
        ] {
            check::moment(path, moment.flatten())?;
        }
        self.limits.iter().flatten().try_for_each(check_limit)
    }

    fn columns(&self) -> Columns {
        let mut columns = Columns::default();
        columns.set_if("plan", self.plan.clone());
        columns.set_if("billing_cycle", self.billing_cycle.clone());
        columns.set_if("status", self.status.clone());
        columns.set_if("current_period_start", self.current_period_start);
        columns.set_if("current_period_end", self.current_period_end);
        columns.set_if("trial_end", self.trial_end);
        columns
    }

    /// None: stays. The first cancellation counts, until it is taken back.
    fn canceled_at(&self, before: Option<DateTime<Utc>>) -> Option<Option<DateTime<Utc>>> {
        let is_canceled = self.status.as_deref()? == "canceled";
        Some(is_canceled.then(|| before.unwrap_or_else(Utc::now)))
    }
}

fn check_limit((name, value): (&String, &Value)) -> Result<()> {
    let path = format!("limits.{name}");
    if !LIMITS.contains(&name.as_str()) {
        let message = format!("is no limit; there are {}", LIMITS.join(", "));
        return Err(ApiError::invalid(path, message));
    }
    if value.is_null() || value.as_u64().is_some_and(|value| value <= MOST) {
        return Ok(());
    }
    Err(ApiError::invalid(
        path,
        format!("must be null or a whole number from 0 to {MOST}"),
    ))
}

/// Makes an organization's subscription, or changes it. It is in force within a moment.
#[utoipa::path(post, operation_id = "subscriptions_put", path = "/organizations/{id}/subscription", tag = "subscriptions", params(IfMatch, ("id" = Uuid, Path)), request_body = Terms, responses((status = 200, body = Subscription), (status = 201, body = Subscription)))]
pub(crate) async fn put(
    State(shared): State<Shared>,
    caller: Caller,
    Id(org_id): Id,
    if_match: IfMatch,
    Body(terms): Body<Terms>,
) -> Result<Tagged<Subscription>> {
    caller.may(Act::ChangeSubscriptions)?;
    terms.check()?;
    let put = Transaction::within(&shared.pool, &caller, async |transaction| {
        organizations::lock(transaction, &caller, org_id).await?;
        let before = of(transaction, &caller, org_id).await?;
        let status = match &before {
            Some(before) => {
                if_match.check(before)?;
                change(transaction, before, &terms).await?;
                StatusCode::OK
            }
            None => {
                if_match.check_none()?;
                make(transaction, org_id, &terms).await?;
                StatusCode::CREATED
            }
        };
        let after = of(transaction, &caller, org_id).await.and_then(required)?;
        check_period(&after)?;
        Ok((status, after))
    });
    let (status, subscription) = put.await?;
    Ok(Tagged::new(status, subscription))
}

async fn make(transaction: &Transaction, org_id: Uuid, terms: &Terms) -> Result<()> {
    let mut columns = terms.columns();
    let id = Uuid::now_v7();
    columns.set("id", id);
    columns.set("org_id", org_id);
    columns.set_if("canceled_at", terms.canceled_at(None));
    columns.insert(transaction, Subscription::TABLE).await?;
    if let Some(limits) = &terms.limits {
        let sql = "UPDATE subscriptions SET limits = limits || $2 WHERE id = $1 RETURNING id";
        let limits = Value::Object(limits.clone());
        transaction.one(sql, &[&id, &limits]).await?;
    }
    Ok(())
}

async fn change(transaction: &Transaction, before: &Subscription, terms: &Terms) -> Result<()> {
    let mut columns = terms.columns();
    columns.set_if("limits", terms.limits.clone().map(Value::Object));
    columns.set_if("canceled_at", terms.canceled_at(before.canceled_at));
    columns
        .update(transaction, Subscription::TABLE, before.id)
        .await
}

fn check_period(subscription: &Subscription) -> Result<()> {
    let (start, end) = (
        subscription.current_period_start,
        subscription.current_period_end,
    );
    match (start, end) {
        (Some(start), Some(end)) if end <= start => Err(ApiError::invalid(
            "current_period_end",
            "must be after current_period_start",
        )),
        _ => Ok(()),
    }
}

/// Removes an organization's subscription, and all limits with it.
#[utoipa::path(delete, operation_id = "subscriptions_delete", path = "/organizations/{id}/subscription", tag = "subscriptions", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(org_id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::ChangeSubscriptions)?;
    let deleted = Transaction::within(&shared.pool, &caller, async |transaction| {
        organizations::lock(transaction, &caller, org_id).await?;
        let found = of(transaction, &caller, org_id).await.and_then(required)?;
        if_match.check(&found)?;
        let sql = "DELETE FROM subscriptions WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&found.id]).await?;
        Ok(found.id)
    });
    Ok(Json(Deleted {
        id: deleted.await?,
        r#type: "subscription_deleted",
    }))
}
