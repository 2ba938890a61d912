//! `/admin/v1/api-keys`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::KeyKind;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::projects::Project;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::new_key::NewKey;
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;
use crate::{changes, check};

const STATUSES: &[&str] = &["active", "revoked", "expired"];
const SCOPES: &[&str] = &["read", "write"];
const DAY: u32 = 86_400;
const LONGEST_GRACE: u32 = 90 * DAY;

/// A key for requests to the Claude API through the gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    id: Uuid,
    /// `api_key`
    r#type: &'static str,
    project_id: Uuid,
    created_by: Uuid,
    name: String,
    description: Option<String>,
    /// `mw_sk_live_`, or `mw_sk_test_`: answered by the simulator, at no cost.
    key_prefix: String,
    /// `read`: GET. `write`: POST and DELETE.
    scopes: Vec<String>,
    /// Addresses and networks that it may come from; null: any.
    allowed_ips: Option<Vec<String>>,
    /// Seconds behind.
    last_used_at: Option<DateTime<Utc>>,
    /// Seconds behind.
    usage_count: i64,
    expires_at: Option<DateTime<Utc>>,
    /// `active`, `revoked` or `expired`
    status: String,
    revoked_at: Option<DateTime<Utc>>,
    revoked_by: Option<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// The key itself: in the answer that makes it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Its time has passed, whatever its status says.
    #[serde(skip)]
    is_over: bool,
}

impl Listed for ApiKey {
    const TABLE: &'static str = "api_keys";
    const NAME: &'static str = "API key";
    const OF_ORG: &'static str =
        "EXISTS (SELECT FROM projects p WHERE p.id = t.project_id AND p.org_id = ?)";
    const THERE: &'static [&'static str] = &[
        "EXISTS (SELECT FROM projects p JOIN organizations o ON o.id = p.org_id \
            WHERE p.id = t.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL)",
    ];
    const COLUMNS: &'static str = "t.id, t.project_id, t.created_by, t.name, t.description, t.key_prefix, t.scopes, \
        t.allowed_ips::text[] AS allowed_ips, t.last_used_at, t.usage_count, t.expires_at, t.status, t.revoked_at, \
        t.revoked_by, t.created_at, t.updated_at, coalesce(t.expires_at <= now(), false) AS is_over";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "api_key",
            project_id: row.try_get("project_id")?,
            created_by: row.try_get("created_by")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            key_prefix: row.try_get("key_prefix")?,
            scopes: row.try_get("scopes")?,
            allowed_ips: row.try_get("allowed_ips")?,
            last_used_at: row.try_get("last_used_at")?,
            usage_count: row.try_get("usage_count")?,
            expires_at: row.try_get("expires_at")?,
            status: row.try_get("status")?,
            revoked_at: row.try_get("revoked_at")?,
            revoked_by: row.try_get("revoked_by")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            key: None,
            is_over: row.try_get("is_over")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl ApiKey {
    /// Whether it costs nothing.
    pub(super) fn is_test(&self) -> bool {
        KeyKind::from_prefix(&self.key_prefix) == Some(KeyKind::Test)
    }

    /// Its project, and who made it.
    pub(super) fn whose(&self) -> (Uuid, Uuid) {
        (self.project_id, self.created_by)
    }
}

impl Versioned for ApiKey {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    project_id: Option<Uuid>,
    created_by: Option<Uuid>,
    status: Option<String>,
}

/// API keys, the newest first.
#[utoipa::path(get, operation_id = "api_keys_list", path = "/api-keys", tag = "api-keys", params(Part, Query), responses((status = 200, body = Page<ApiKey>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<ApiKey>>> {
    caller.may(Act::ReadApiKeys)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<ApiKey>(&caller);
    filter.and_if("t.project_id = ?", query.project_id);
    filter.and_if("t.created_by = ?", query.created_by);
    filter.and_if("t.status = ?", query.status);
    listing::list(&shared, &caller, filter, part).await
}

/// One API key.
#[utoipa::path(get, operation_id = "api_keys_show", path = "/api-keys/{id}", tag = "api-keys", params(("id" = Uuid, Path)), responses((status = 200, body = ApiKey)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<ApiKey>> {
    caller.may(Act::ReadApiKeys)?;
    listing::show(&shared, &caller, id).await
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    project_id: Uuid,
    name: String,
    description: Option<String>,
    /// `mw_sk_live_` if not given, or `mw_sk_test_`.
    key_prefix: Option<String>,
    /// Both if not given.
    scopes: Option<Vec<String>>,
    allowed_ips: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
    /// The caller if not given.
    created_by: Option<Uuid>,
}

/// Makes an API key. Its text is in this answer's `key` and nowhere else.
#[utoipa::path(post, operation_id = "api_keys_create", path = "/api-keys", tag = "api-keys", request_body = NewApiKey, responses((status = 201, body = ApiKey)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewApiKey>,
) -> Result<Tagged<ApiKey>> {
    caller.may(Act::ChangeApiKeys)?;
    check::text("name", &new.name, 255)?;
    let kind = match new.key_prefix.as_deref() {
        None => KeyKind::Live,
        Some(prefix) => KeyKind::from_prefix(prefix)
            .ok_or_else(|| ApiError::invalid("key_prefix", "must be mw_sk_live_ or mw_sk_test_"))?,
    };
    let key = NewKey::generate(kind.prefix());
    let id = Uuid::now_v7();
    let created_by = caller.creator("created_by", new.created_by)?;
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("project_id", new.project_id);
    columns.set("created_by", created_by);
    columns.set("key_prefix", kind.prefix());
    columns.set("key_hash", key.hash.to_hex());
    columns.set("name", new.name);
    check::long_text("description", new.description.as_deref())?;
    columns.set_if("description", new.description);
    if let Some(scopes) = new.scopes {
        columns.set("scopes", checked_scopes(scopes)?);
    }
    set_ips(&mut columns, new.allowed_ips.map(Some))?;
    check::moment("expires_at", new.expires_at)?;
    columns.set_if("expires_at", new.expires_at);
    changes::create(&shared, &caller, async |transaction| {
        listing::lock::<Project>(transaction, &caller, new.project_id).await?;
        check_creator(transaction, &caller, created_by).await?;
        columns.insert(transaction, "api_keys").await?;
        let made = listing::find(transaction, &caller, id).await?;
        Ok(ApiKey {
            key: Some(key.text),
            ..made
        })
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ApiKeyChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "some")]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_ips: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
}

/// Changes an active API key.
#[utoipa::path(post, operation_id = "api_keys_update", path = "/api-keys/{id}", tag = "api-keys", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = ApiKey)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<ApiKey>> {
    caller.may(Act::ChangeApiKeys)?;
    let mut columns = Columns::default();
    if let Some(name) = changes.name {
        check::text("name", &name, 255)?;
        columns.set("name", name);
    }
    check::long_text(
        "description",
        changes.description.as_ref().and_then(Option::as_deref),
    )?;
    columns.set_if("description", changes.description);
    if let Some(scopes) = changes.scopes {
        columns.set("scopes", checked_scopes(scopes)?);
    }
    set_ips(&mut columns, changes.allowed_ips)?;
    check::moment("expires_at", changes.expires_at.flatten())?;
    columns.set_if("expires_at", changes.expires_at);
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, found: ApiKey| {
            require_active(&found)?;
            columns.update(transaction, "api_keys", id).await?;
            Ok(())
        },
    )
    .await
}

/// Revokes an API key, within a moment and for good. One that is revoked stays as it is.
#[utoipa::path(post, operation_id = "api_keys_revoke", path = "/api-keys/{id}/revoke", tag = "api-keys", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = ApiKey)))]
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Tagged<ApiKey>> {
    caller.may(Act::ChangeApiKeys)?;
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, _: ApiKey| {
            let sql = "UPDATE api_keys SET status = 'revoked', revoked_at = now(), revoked_by = $2
            WHERE id = $1 AND status <> 'revoked' RETURNING id";
            transaction.maybe(sql, &[&id, &caller.user_id]).await?;
            Ok(())
        },
    )
    .await
}

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// So long both keys work; a day if not given, 90 days at the most. 0: the old one is revoked at once.
    grace_seconds: Option<u32>,
    /// Of the new key, null for never. Has to be given if the old one has any, which may be the end of its own grace.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
}

/// Replaces an API key by a new one like it. The new one's text is in this answer's `key` and nowhere else; the old one expires
/// when the grace is over, unless it does before.
#[utoipa::path(post, operation_id = "api_keys_rotate", path = "/api-keys/{id}/rotate", tag = "api-keys", params(IfMatch, ("id" = Uuid, Path)), request_body = Rotation, responses((status = 201, body = ApiKey)))]
pub(crate) async fn rotate(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(rotation): Body<Rotation>,
) -> Result<Tagged<ApiKey>> {
    caller.may(Act::ChangeApiKeys)?;
    let grace = rotation.grace_seconds.unwrap_or(DAY);
    if grace > LONGEST_GRACE {
        let message = format!("must be 0 to {LONGEST_GRACE}");
        return Err(ApiError::invalid("grace_seconds", message));
    }
    let (new_id, grace) = (Uuid::now_v7(), f64::from(grace));
    changes::create(&shared, &caller, async |transaction| {
        let old = listing::lock::<ApiKey>(transaction, &caller, id).await?;
        if_match.check(&old)?;
        require_active(&old)?;
        if !caller.may_act_for(old.created_by) {
            return Err(ApiError::forbidden(
                "role_missing",
                "to rotate a key that somebody else has made takes the role `admin`",
            ));
        }
        if old.expires_at.is_some() && rotation.expires_at.is_none() {
            return Err(ApiError::invalid(
                "expires_at",
                "is required, null for never, since the old key has one",
            ));
        }
        let expires_at = rotation.expires_at.flatten();
        check::moment("expires_at", expires_at)?;
        let kind = KeyKind::from_prefix(&old.key_prefix).unwrap_or(KeyKind::Live);
        let key = NewKey::generate(kind.prefix());
        let sql = "INSERT INTO api_keys (id, project_id, created_by, key_prefix, key_hash, name, description, scopes,
                                         allowed_ips, expires_at)
            SELECT $2, project_id, created_by, key_prefix, $3, name, description, scopes, allowed_ips,
                   $4::timestamptz
            FROM api_keys WHERE id = $1 RETURNING id";
        let hash = key.hash.to_hex();
        transaction
            .one(sql, &[&id, &new_id, &hash, &expires_at])
            .await?;
        let sql = "UPDATE api_keys SET
                expires_at = CASE WHEN $2::float8 > 0 THEN least(expires_at, now() + make_interval(secs => $2::float8)) ELSE expires_at END,
                status = CASE WHEN $2::float8 > 0 THEN status ELSE 'revoked' END,
                revoked_at = CASE WHEN $2::float8 > 0 THEN revoked_at ELSE now() END,
                revoked_by = CASE WHEN $2::float8 > 0 THEN revoked_by ELSE $3::uuid END
            WHERE id = $1 RETURNING id";
        transaction
            .one(sql, &[&id, &grace, &caller.user_id])
            .await?;
        let made = listing::find(transaction, &caller, new_id).await?;
        Ok(ApiKey {
            key: Some(key.text),
            ..made
        })
    })
    .await
}

fn require_active(key: &ApiKey) -> Result<()> {
    if key.is_over {
        return Err(ApiError::conflict("not_active", "the key has expired"));
    }
    if key.status == "active" {
        return Ok(());
    }
    Err(ApiError::conflict(
        "not_active",
        format!("the key is {}", key.status),
    ))
}

fn checked_scopes(scopes: Vec<String>) -> Result<Vec<String>> {
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "must not be empty"));
    }
    for (index, scope) in scopes.iter().enumerate() {
        check::one_of(&format!("scopes[{index}]"), scope, SCOPES)?;
    }
    Ok(scopes)
}

fn set_ips(columns: &mut Columns, given: Option<Option<Vec<String>>>) -> Result<()> {
    let Some(ips) = given else { return Ok(()) };
    if let Some(ips) = &ips {
        check::nets("allowed_ips", ips)?;
    }
    columns.set_as("allowed_ips", "::text[]::inet[]", ips);
    Ok(())
}

/// Whoever is said to have made something is there, and for a tenant one of its own.
pub(super) async fn check_creator(
    transaction: &Transaction,
    caller: &Caller,
    user_id: Uuid,
) -> Result<()> {
    check_user(transaction, caller.org_id, user_id, "created_by").await
}

/// A user is there, and a member of the organization, if there is one.
pub(super) async fn check_user(
    transaction: &Transaction,
    org_id: Option<Uuid>,
    user_id: Uuid,
    path: &str,
) -> Result<()> {
    let sql = "SELECT FROM users u WHERE u.id = $1 AND u.deleted_at IS NULL
        AND u.status = 'active' AND ($2::uuid IS NULL OR EXISTS (
            SELECT FROM org_members m WHERE m.user_id = u.id AND m.org_id = $2 AND m.status = 'active'))";
    let found = transaction.maybe(sql, &[&user_id, &org_id]).await?;
    found
        .map(drop)
        .ok_or_else(|| ApiError::invalid(path, "there is no such active user"))
}
