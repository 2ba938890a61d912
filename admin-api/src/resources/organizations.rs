//! `/admin/v1/organizations`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Deleted;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::rules;
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;
use crate::{changes, check};

const STATUSES: &[&str] = &["active", "suspended", "pending"];

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    id: Uuid,
    /// `organization`
    r#type: &'static str,
    name: String,
    slug: String,
    billing_email: Option<String>,
    support_email: Option<String>,
    #[schema(value_type = Object)]
    settings: Value,
    /// Who may be a member; null: anybody.
    allowed_email_domains: Option<Vec<String>>,
    /// `active`, `suspended` or `pending`: keys work while it is active.
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for Organization {
    const TABLE: &'static str = "organizations";
    const NAME: &'static str = "organization";
    const OF_ORG: &'static str = "t.id = ?";
    const THERE: &'static [&'static str] = &["t.deleted_at IS NULL"];
    const COLUMNS: &'static str = "t.id, t.name, t.slug, t.billing_email, t.support_email, t.settings, \
        t.allowed_email_domains, t.status, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "organization",
            name: row.try_get("name")?,
            slug: row.try_get("slug")?,
            billing_email: row.try_get("billing_email")?,
            support_email: row.try_get("support_email")?,
            settings: row.try_get("settings")?,
            allowed_email_domains: row.try_get("allowed_email_domains")?,
            status: row.try_get("status")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for Organization {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// An organization that something is made in: not while it is being deleted.
pub(super) async fn share(transaction: &Transaction, id: Uuid) -> Result<()> {
    let sql = "SELECT FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE";
    let found = transaction.maybe(sql, &[&id]).await?;
    found
        .map(drop)
        .ok_or_else(|| ApiError::not_found("organization"))
}

/// An organization whose members or plan are about to change: one change at a time.
pub(super) async fn lock(transaction: &Transaction, caller: &Caller, id: Uuid) -> Result<()> {
    // Of another's it isn't told that it is there; row-level security hides it as well, where there is any.
    let sql =
        "SELECT FROM organizations WHERE id = $1 AND deleted_at IS NULL AND coalesce(id = $2, TRUE)
        FOR NO KEY UPDATE";
    let found = transaction.maybe(sql, &[&id, &caller.org_id]).await?;
    found
        .map(drop)
        .ok_or_else(|| ApiError::not_found("organization"))
}

/// Which organizations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    status: Option<String>,
    slug: Option<String>,
}

/// Organizations, the newest first.
#[utoipa::path(get, operation_id = "organizations_list", path = "/organizations", tag = "organizations", params(Part, Query), responses((status = 200, body = Page<Organization>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<Organization>>> {
    caller.may(Act::ReadOrganizations)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<Organization>(&caller);
    filter.and_if("t.status = ?", query.status);
    filter.and_if("t.slug = ?", query.slug);
    listing::list(&shared, &caller, filter, part).await
}

/// One organization.
#[utoipa::path(get, operation_id = "organizations_show", path = "/organizations/{id}", tag = "organizations", params(("id" = Uuid, Path)), responses((status = 200, body = Organization)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<Organization>> {
    caller.may(Act::ReadOrganizations)?;
    listing::show(&shared, &caller, id).await
}

/// A new organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrganization {
    name: String,
    /// Lower-case letters, digits and hyphens.
    slug: String,
    billing_email: Option<String>,
    support_email: Option<String>,
    /// Merged into the defaults.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    allowed_email_domains: Option<Vec<String>>,
}

/// Makes an organization.
#[utoipa::path(post, operation_id = "organizations_create", path = "/organizations", tag = "organizations", request_body = NewOrganization, responses((status = 201, body = Organization)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewOrganization>,
) -> Result<Tagged<Organization>> {
    caller.may(Act::MakeOrganizations)?;
    check::text("name", &new.name, 255)?;
    check::slug("slug", &new.slug)?;
    let id = Uuid::now_v7();
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("name", new.name);
    columns.set("slug", new.slug);
    columns.set_if("billing_email", email("billing_email", new.billing_email)?);
    columns.set_if("support_email", email("support_email", new.support_email)?);
    columns.set_if("allowed_email_domains", domains(new.allowed_email_domains)?);
    if let Some(settings) = &new.settings {
        check::object("settings", settings)?;
        rules::check_organization(&shared, settings).await?;
    }
    changes::create(&shared, &caller, async |transaction| {
        columns.insert(transaction, "organizations").await?;
        if let Some(settings) = new.settings {
            let sql =
                "UPDATE organizations SET settings = settings || $2 WHERE id = $1 RETURNING id";
            transaction.one(sql, &[&id, &settings]).await?;
        }
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OrganizationChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    billing_email: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    support_email: Option<Option<String>>,
    /// All of them, in place of those before.
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    settings: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_email_domains: Option<Option<Vec<String>>>,
    /// For callers of the whole installation.
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes an organization.
#[utoipa::path(post, operation_id = "organizations_update", path = "/organizations/{id}", tag = "organizations", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = Organization)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<Organization>> {
    caller.may(Act::ChangeOrganizations)?;
    let mut columns = Columns::default();
    if let Some(name) = changes.name {
        check::text("name", &name, 255)?;
        columns.set("name", name);
    }
    if let Some(address) = changes.billing_email {
        columns.set("billing_email", email("billing_email", address)?);
    }
    if let Some(address) = changes.support_email {
        columns.set("support_email", email("support_email", address)?);
    }
    if let Some(settings) = changes.settings {
        check::object("settings", &settings)?;
        rules::check_organization(&shared, &settings).await?;
        columns.set("settings", settings);
    }
    if let Some(given) = changes.allowed_email_domains {
        columns.set("allowed_email_domains", domains(given)?);
    }
    if let Some(status) = changes.status {
        caller.may(Act::MakeOrganizations)?;
        check::one_of("status", &status, STATUSES)?;
        columns.set("status", status);
    }
    changes::change(&shared, &caller, id, &if_match, &columns).await
}

/// Deletes an organization: its keys stop working, its usage stays on record.
#[utoipa::path(delete, operation_id = "organizations_delete", path = "/organizations/{id}", tag = "organizations", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::MakeOrganizations)?;
    changes::delete::<Organization>(&shared, &caller, id, &if_match).await?;
    Ok(Json(Deleted {
        id,
        r#type: "organization_deleted",
    }))
}

fn email(path: &str, address: Option<String>) -> Result<Option<String>> {
    if let Some(address) = &address {
        check::email(path, address)?;
    }
    Ok(address)
}

fn domains(domains: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    if let Some(domains) = &domains {
        check::list("allowed_email_domains", domains)?;
    }
    for (index, domain) in domains.iter().flatten().enumerate() {
        check::domain(&format!("allowed_email_domains[{index}]"), domain)?;
    }
    Ok(domains)
}
