//! `/admin/v1/sessions` and `/admin/v1/logout`: a user's own sessions.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::KeyHash;
pub(super) use domain::key::SESSION_PREFIX as TOKEN_PREFIX;
use serde::Serialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::listing::Page;
use crate::origin::Origin;
use crate::params::Id;
use crate::resources::Deleted;
use crate::server::Shared;
use crate::transaction::Transaction;

/// Of one user; the oldest make room.
const MOST: i64 = 20;

/// A session that isn't over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    id: Uuid,
    /// `session`
    r#type: &'static str,
    org_id: Uuid,
    /// Where it was made from.
    address: Option<String>,
    /// With what.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
    /// To the minute.
    last_used_at: DateTime<Utc>,
    /// If it isn't used, sooner: an hour after it was used last.
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Session {
    fn read(row: &Row, current: Uuid) -> Result<Self> {
        let id = row.try_get("id")?;
        Ok(Self {
            id,
            r#type: "session",
            org_id: row.try_get("org_id")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            current: id == current,
            last_used_at: row.try_get("last_used_at")?,
            expires_at: row.try_get("expires_at")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Makes one, in a transaction that holds the user and the membership: when it expires.
pub(super) async fn make(
    transaction: &Transaction,
    (id, token): (Uuid, &KeyHash),
    (org_id, user_id): (Uuid, Uuid),
    origin: &Origin,
) -> Result<DateTime<Utc>> {
    let sql =
        "INSERT INTO sessions (id, org_id, user_id, token_hash, address, user_agent, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, now() + interval '12 hours') RETURNING expires_at";
    let hash = token.to_hex();
    let values: [crate::transaction::Param<'_>; 6] = [
        &id,
        &org_id,
        &user_id,
        &hash,
        &origin.address,
        &origin.user_agent,
    ];
    let expires_at = transaction.one(sql, &values).await?.try_get(0)?;
    // Never the one just made, which isn't the newest if the database's clock was set back.
    let surplus = "DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE user_id = $1 AND id <> $2 ORDER BY created_at DESC, id DESC OFFSET $3)";
    transaction
        .all(surplus, &[&user_id, &id, &(MOST - 1)])
        .await?;
    Ok(expires_at)
}

/// Ends the session that asks.
#[utoipa::path(post, operation_id = "logout", path = "/logout", tag = "sessions", responses((status = 200, body = Deleted)))]
pub(crate) async fn logout(State(shared): State<Shared>, caller: Caller) -> Result<Json<Deleted>> {
    let (id, _) = caller.session()?;
    end(&shared, &caller, id).await
}

/// A user's own sessions, in whatever organization, the newest first. There are 20 at most.
#[utoipa::path(get, operation_id = "sessions_list", path = "/sessions", tag = "sessions", responses((status = 200, body = Page<Session>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Json<Page<Session>>> {
    let (current, user_id) = caller.session()?;
    let sql = "SELECT id, org_id, host(address) AS address, user_agent, last_used_at, expires_at, created_at FROM sessions
        WHERE user_id = $1 AND expires_at > now() AND last_used_at > now() - interval '1 hour'
        ORDER BY created_at DESC, id DESC";
    let rows = Transaction::within_unguarded(&shared.pool, &caller, async |transaction| {
        transaction.all(sql, &[&user_id]).await
    });
    let rows = rows.await?;
    let sessions = rows.iter().map(|row| Session::read(row, current));
    let data = sessions.collect::<Result<Vec<_>>>()?;
    Ok(Json(Page {
        has_more: false,
        first_id: data.first().map(|session| session.id),
        last_id: data.last().map(|session| session.id),
        data,
    }))
}

/// Ends one of the user's own sessions.
#[utoipa::path(delete, operation_id = "sessions_delete", path = "/sessions/{id}", tag = "sessions", params(("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Deleted>> {
    end(&shared, &caller, id).await
}

async fn end(shared: &Shared, caller: &Caller, id: Uuid) -> Result<Json<Deleted>> {
    let (_, user_id) = caller.session()?;
    let sql = "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id";
    let ended = Transaction::within_unguarded(&shared.pool, caller, async |transaction| {
        transaction.maybe(sql, &[&id, &user_id]).await
    });
    let ended = ended.await?;
    ended.ok_or_else(|| ApiError::not_found("session"))?;
    Ok(Json(Deleted::new(id, "session_deleted")))
}
