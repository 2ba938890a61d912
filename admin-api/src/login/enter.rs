//! `POST /admin/v1/login`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::KeyHash;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::proof::{Proven, noting};
use super::secret::Secret;
use super::{second_factor, sessions};
use crate::body::Body;
use crate::error::{ApiError, Result};
use crate::new_key::NewKey;
use crate::origin::Origin;
use crate::server::Shared;
use crate::transaction::Transaction;

/// Of more organizations than these, one has to be named without having been shown.
const MOST_SHOWN: i64 = 100;

/// Who somebody is, and what proves it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Upper and lower case are one.
    email: String,
    password: Secret,
    /// Where it is needed: six digits of an authenticator, or a backup code.
    code: Option<Secret>,
    /// Of those who are members of several organizations, the one that the session is to be for.
    org_id: Option<Uuid>,
}

/// A session just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSession {
    id: Uuid,
    /// `session`
    r#type: &'static str,
    /// What is sent from now on, as an admin key is: in this answer and nowhere else.
    token: String,
    user_id: Uuid,
    org_id: Uuid,
    /// `owner`, `admin`, `member` or `viewer`, for as long as the member has it.
    role: String,
    /// If it isn't used, sooner: an hour after it was used last.
    expires_at: DateTime<Utc>,
}

/// Where a session is to be.
struct Place {
    org_id: Uuid,
    name: String,
    role: String,
}

/// Logs a user in. It takes no key. What was wrong is not told.
#[utoipa::path(post, operation_id = "login", path = "/login", tag = "sessions", request_body = Login, security(()), responses((status = 201, body = NewSession)))]
pub(crate) async fn login(
    State(shared): State<Shared>,
    origin: Origin,
    Body(login): Body<Login>,
) -> Result<(StatusCode, Json<NewSession>)> {
    let proven = Proven::by_email(&shared, &origin, &login.email, &login.password).await?;
    let entered = Transaction::without_key(&shared.pool, async |transaction| {
        enter(&shared, transaction, &origin, &proven, &login).await
    });
    let made = noting(&shared, &origin, proven.user_id, entered.await).await?;
    // Its first use is no guess, however many are made at the same address.
    let token = KeyHash::of(made.token.as_bytes());
    shared.throttles.was_good(&token);
    Ok((StatusCode::CREATED, Json(made)))
}

async fn enter(
    shared: &Shared,
    transaction: &Transaction,
    origin: &Origin,
    proven: &Proven,
    login: &Login,
) -> Result<NewSession> {
    let user_id = proven.user_id;
    let held = proven.hold(transaction).await?;
    let actor = ("user", user_id);
    // Before anything is written: a backup code that is used up is on record as the user's doing.
    transaction.say(actor, None, None, origin).await?;
    second_factor::take(shared, transaction, &held, login.code.as_ref()).await?;
    if held.status != "active" {
        return Err(ApiError::forbidden(
            "user_inactive",
            "the user is not active",
        ));
    }
    let place = place(transaction, user_id, login.org_id).await?;
    let (id, token) = (Uuid::now_v7(), NewKey::generate(sessions::TOKEN_PREFIX));
    let with = Some(("session", id));
    transaction
        .say(actor, with, Some(place.org_id), origin)
        .await?;
    let whose = (place.org_id, user_id);
    let expires_at = sessions::make(transaction, (id, &token.hash), whose, origin).await?;
    proven.keep_up(transaction).await?;
    let sql =
        "UPDATE users SET last_login_at = now(), last_login_ip = $2 WHERE id = $1 RETURNING id";
    transaction.one(sql, &[&user_id, &origin.address]).await?;
    Ok(NewSession {
        id,
        r#type: "session",
        token: token.text,
        user_id,
        org_id: place.org_id,
        role: place.role,
        expires_at,
    })
}

/// The organization that is meant: the one that is named, or the only one. Whoever removes the member waits, or is waited for,
/// before any session is touched.
async fn place(transaction: &Transaction, user_id: Uuid, named: Option<Uuid>) -> Result<Place> {
    let sql = "SELECT o.id, o.name, m.role FROM org_members m JOIN organizations o ON o.id = m.org_id
        WHERE m.user_id = $1 AND m.status = 'active' AND o.deleted_at IS NULL AND o.status = 'active'
          AND o.id = coalesce($2, o.id)
        ORDER BY o.name, o.id LIMIT $3 FOR KEY SHARE OF m";
    let rows = transaction
        .all(sql, &[&user_id, &named, &MOST_SHOWN])
        .await?;
    let places = rows.iter().map(|row| {
        Ok(Place {
            org_id: row.try_get("id")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
        })
    });
    let mut places = places.collect::<Result<Vec<_>>>()?;
    match (places.pop(), places.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(ApiError::forbidden(
            "not_a_member",
            "the user is no active member of such an organization",
        )),
        (Some(last), false) => {
            places.push(last);
            let shown = places.iter();
            let shown = shown.map(|place| json!({"id": place.org_id, "name": place.name}));
            let message = "is required, since the user is a member of several organizations";
            Err(ApiError::invalid("org_id", message).with_detail("organizations", shown.collect()))
        }
    }
}
