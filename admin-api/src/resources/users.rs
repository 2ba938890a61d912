//! `/admin/v1/users`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::body::{Body, some};
use crate::caller::Caller;
use crate::error::Result;
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::{changes, check};

const STATUSES: &[&str] = &["active", "suspended", "pending_verification"];

/// A person. May be a member of several organizations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    id: Uuid,
    /// `user`
    r#type: &'static str,
    email: String,
    name: String,
    timezone: Option<String>,
    locale: Option<String>,
    mfa_enabled: bool,
    /// `active`, `suspended` or `pending_verification`
    status: String,
    last_login_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for User {
    const TABLE: &'static str = "users";
    const NAME: &'static str = "user";
    const OF_ORG: &'static str = "EXISTS (SELECT FROM org_members m WHERE m.user_id = t.id AND m.org_id = ? AND m.status <> 'invited')";
    const THERE: &'static [&'static str] = &["t.deleted_at IS NULL"];
    const COLUMNS: &'static str = "t.id, t.email, t.name, t.timezone, t.locale, t.mfa_enabled, t.status, t.last_login_at, \
        t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "user",
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            timezone: row.try_get("timezone")?,
            locale: row.try_get("locale")?,
            mfa_enabled: row.try_get("mfa_enabled")?,
            status: row.try_get("status")?,
            last_login_at: row.try_get("last_login_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for User {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    email: Option<String>,
    status: Option<String>,
}

/// Users, the newest first.
#[utoipa::path(get, operation_id = "users_list", path = "/users", tag = "users", params(Part, Query), responses((status = 200, body = Page<User>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<User>>> {
    caller.may(Act::ReadUsers)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<User>(&caller);
    filter.and_if("t.email = ?", query.email.map(|email| email.to_lowercase()));
    filter.and_if("t.status = ?", query.status);
    listing::list(&shared, &caller, filter, part).await
}

/// One user.
#[utoipa::path(get, operation_id = "users_show", path = "/users/{id}", tag = "users", params(("id" = Uuid, Path)), responses((status = 200, body = User)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<User>> {
    caller.may(Act::ReadUsers)?;
    listing::show(&shared, &caller, id).await
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// Upper and lower case are one.
    email: String,
    name: String,
}

/// Makes a user, who is active at once.
#[utoipa::path(post, operation_id = "users_create", path = "/users", tag = "users", request_body = NewUser, responses((status = 201, body = User)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<Tagged<User>> {
    caller.may(Act::ChangeUsers)?;
    check::email("email", &new.email)?;
    check::text("name", &new.name, 255)?;
    let id = Uuid::now_v7();
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("email", new.email.to_lowercase());
    columns.set("name", new.name);
    changes::create(&shared, &caller, async |transaction| {
        columns.insert(transaction, "users").await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    /// Of one who is `suspended` the admin keys don't work; API keys that the user has made do.
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes a user.
#[utoipa::path(post, operation_id = "users_update", path = "/users/{id}", tag = "users", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = User)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<User>> {
    caller.may(Act::ChangeUsers)?;
    let mut columns = Columns::default();
    if let Some(name) = changes.name {
        check::text("name", &name, 255)?;
        columns.set("name", name);
    }
    if let Some(status) = changes.status {
        check::one_of("status", &status, STATUSES)?;
        columns.set("status", status);
    }
    changes::change(&shared, &caller, id, &if_match, &columns).await
}
