//! `/admin/v1/users`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::login::{self, Secret, check_password};
use crate::params::{Id, Paged};
use crate::resources::invitations::UNTOUCHED;
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;
use crate::{changes, check};

const ACTIVE: &str = "active";
const PENDING: &str = "pending_verification";
const STATUSES: &[&str] = &[ACTIVE, "suspended", PENDING];

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
    /// 12 to 128 characters. Without one the user can't log in.
    password: Option<Secret>,
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
    if let Some(password) = &new.password {
        check_password("password", password, &new.email)?;
        columns.set("password_hash", shared.passwords.hash(password).await?);
    }
    changes::create(&shared, &caller, async |transaction| {
        columns.insert(transaction, "users").await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UserChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    /// Of one who is `suspended` the admin keys don't work and the sessions end; API keys that the user has made do.
    /// `pending_verification` is only for one who is new.
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
    /// 12 to 128 characters; null: the user can't log in. The user's sessions end.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    password: Option<Option<Secret>>,
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
    let ends_sessions =
        changes.password.is_some() || changes.status.as_deref().is_some_and(|it| it != ACTIVE);
    let is_to_be_new = changes.status.as_deref() == Some(PENDING);
    if let Some(status) = changes.status {
        check::one_of("status", &status, STATUSES)?;
        columns.set("status", status);
    }
    if let Some(password) = changes.password {
        let hash = hashed(&shared, &caller, id, password).await?;
        columns.set("password_hash", hash);
    }
    let work = async |transaction: &Transaction, user: User| {
        if is_to_be_new {
            must_be_new(transaction, &user).await?;
        }
        columns.update(transaction, User::TABLE, id).await?;
        if ends_sessions {
            login::end_sessions(transaction, id, None).await?;
        }
        Ok(())
    };
    changes::change_by(&shared, &caller, id, &if_match, work).await
}

/// Whoever is invited as somebody new accepts by the token alone, which the inviter has: nobody who was there becomes that again.
async fn must_be_new(transaction: &Transaction, user: &User) -> Result<()> {
    let sql = format!("SELECT FROM users u WHERE u.id = $1 AND {UNTOUCHED}");
    let untouched = transaction.maybe(&sql, &[&user.id]).await?;
    if user.status == ACTIVE || untouched.is_none() {
        let message = "can't be `pending_verification` of a user who was there already";
        return Err(ApiError::invalid("status", message));
    }
    Ok(())
}

/// What is kept of a user's new password.
async fn hashed(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    password: Option<Secret>,
) -> Result<Option<String>> {
    let Some(password) = password else {
        return Ok(None);
    };
    let user: User = Transaction::within(&shared.pool, caller, async |transaction| {
        listing::find(transaction, caller, id).await
    })
    .await?;
    check_password("password", &password, &user.email)?;
    shared.passwords.hash(&password).await.map(Some)
}

/// Takes a user's second factor away, for one who has lost it with all backup codes. The user's sessions end.
#[utoipa::path(post, operation_id = "users_reset_mfa", path = "/users/{id}/reset-mfa", tag = "users", params(("id" = Uuid, Path)), responses((status = 200, body = User)))]
pub(crate) async fn reset_mfa(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Tagged<User>> {
    caller.may(Act::ChangeUsers)?;
    let work = async |transaction: &Transaction, _: User| {
        login::forget_second_factor(transaction, id).await?;
        login::end_sessions(transaction, id, None).await
    };
    changes::change_by(&shared, &caller, id, &if_match, work).await
}
