//! `/admin/v1/admin-keys`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::key::ADMIN_KEY_PREFIX;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::api_keys::check_user;
use crate::body::Body;
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::new_key::NewKey;
use crate::params::{Id, Paged};
use crate::role::{Act, ROLES, Role};
use crate::server::Shared;
use crate::sql::Columns;
use crate::{changes, check};

const STATUSES: &[&str] = &["active", "revoked", "expired"];

/// A key for this API.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminKey {
    id: Uuid,
    /// `admin_key`
    r#type: &'static str,
    /// null: the whole installation.
    org_id: Option<Uuid>,
    /// Whose it is; null: nobody's in particular.
    user_id: Option<Uuid>,
    /// `owner`, `admin`, `member` or `viewer`
    role: String,
    name: String,
    /// Addresses and networks that it may come from; null: any.
    allowed_ips: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
    /// `active`, `revoked` or `expired`
    status: String,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// The key itself: in the answer that makes it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Listed for AdminKey {
    const TABLE: &'static str = "admin_keys";
    const NAME: &'static str = "admin key";
    const OF_ORG: &'static str = "t.org_id = ?";
    const COLUMNS: &'static str = "t.id, t.org_id, t.user_id, t.role, t.name, t.allowed_ips::text[] AS allowed_ips, \
        t.expires_at, t.status, t.last_used_at, t.revoked_at, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "admin_key",
            org_id: row.try_get("org_id")?,
            user_id: row.try_get("user_id")?,
            role: row.try_get("role")?,
            name: row.try_get("name")?,
            allowed_ips: row.try_get("allowed_ips")?,
            expires_at: row.try_get("expires_at")?,
            status: row.try_get("status")?,
            last_used_at: row.try_get("last_used_at")?,
            revoked_at: row.try_get("revoked_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            key: None,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for AdminKey {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    org_id: Option<Uuid>,
    user_id: Option<Uuid>,
    status: Option<String>,
}

/// Admin keys, the newest first.
#[utoipa::path(get, operation_id = "admin_keys_list", path = "/admin-keys", tag = "admin-keys", params(Part, Query), responses((status = 200, body = Page<AdminKey>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<AdminKey>>> {
    caller.may(Act::ReadAdminKeys)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<AdminKey>(&caller);
    filter.and_if("t.org_id = ?", query.org_id);
    filter.and_if("t.user_id = ?", query.user_id);
    filter.and_if("t.status = ?", query.status);
    listing::list(&shared, &caller, filter, part).await
}

/// One admin key.
#[utoipa::path(get, operation_id = "admin_keys_show", path = "/admin-keys/{id}", tag = "admin-keys", params(("id" = Uuid, Path)), responses((status = 200, body = AdminKey)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<AdminKey>> {
    caller.may(Act::ReadAdminKeys)?;
    listing::show(&shared, &caller, id).await
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAdminKey {
    /// The caller's own if not given; of callers of the whole installation, the whole installation.
    org_id: Option<Uuid>,
    /// A user of the organization, whose doing it will be.
    user_id: Option<Uuid>,
    /// `owner`, `admin`, `member` or `viewer`; of the whole installation always `owner`.
    role: String,
    name: String,
    allowed_ips: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
}

/// Makes an admin key. Its text is in this answer's `key` and nowhere else.
#[utoipa::path(post, operation_id = "admin_keys_create", path = "/admin-keys", tag = "admin-keys", request_body = NewAdminKey, responses((status = 201, body = AdminKey)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewAdminKey>,
) -> Result<Tagged<AdminKey>> {
    caller.may(Act::ChangeAdminKeys)?;
    check::text("name", &new.name, 255)?;
    check::one_of("role", &new.role, ROLES)?;
    let org_id = match (caller.org_id, new.org_id) {
        (None, given) => given,
        (Some(_), given) => Some(caller.org_of_new(given)?),
    };
    if org_id.is_none() && Role::parse(&new.role) != Some(Role::Owner) {
        return Err(ApiError::invalid(
            "role",
            "must be owner where the key is for the whole installation",
        ));
    }
    let key = NewKey::generate(ADMIN_KEY_PREFIX);
    let id = Uuid::now_v7();
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set_if("org_id", org_id);
    columns.set_if("user_id", new.user_id);
    columns.set("role", new.role);
    columns.set("name", new.name);
    columns.set("key_hash", key.hash.to_hex());
    if let Some(ips) = new.allowed_ips {
        check::nets("allowed_ips", &ips)?;
        columns.set_as("allowed_ips", "::text[]::inet[]", ips);
    }
    check::moment("expires_at", new.expires_at)?;
    columns.set_if("expires_at", new.expires_at);
    changes::create(&shared, &caller, async |transaction| {
        if let Some(org_id) = org_id {
            super::organizations::share(transaction, org_id).await?;
        }
        if let Some(user_id) = new.user_id {
            check_user(transaction, org_id, user_id, "user_id").await?;
        }
        columns.insert(transaction, "admin_keys").await?;
        let made = listing::find(transaction, &caller, id).await?;
        Ok(AdminKey {
            key: Some(key.text),
            ..made
        })
    })
    .await
}

/// Revokes an admin key, at once and for good. One that is revoked stays as it is.
#[utoipa::path(post, operation_id = "admin_keys_revoke", path = "/admin-keys/{id}/revoke", tag = "admin-keys", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = AdminKey)))]
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Tagged<AdminKey>> {
    caller.may(Act::ChangeAdminKeys)?;
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, _: AdminKey| {
            let sql = "UPDATE admin_keys SET status = 'revoked', revoked_at = now()
            WHERE id = $1 AND status <> 'revoked' RETURNING id";
            transaction.maybe(sql, &[&id]).await?;
            Ok(())
        },
    )
    .await
}
