//! `/admin/v1/mfa`: a user's own second factor.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::backup_codes::BackupCodes;
use super::password::end_sessions;
use super::proof::{Held, Proven, failed, noting};
use super::secret::Secret;
use super::{second_factor, totp};
use crate::body::Body;
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::resources::Deleted;
use crate::server::Shared;
use crate::transaction::Transaction;

/// What begins it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beginning {
    password: Secret,
}

/// What proves that it is the user, who has a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithCode {
    password: Secret,
    /// Six digits of the authenticator, or a backup code.
    code: Secret,
}

/// What shows that the authenticator works.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// Six digits.
    code: Secret,
}

/// For an authenticator; not needed to log in before it is confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewTotp {
    /// `totp`
    r#type: &'static str,
    /// To be typed where it can't be scanned: base32.
    secret: String,
    /// To be scanned.
    otpauth_uri: String,
}

/// Codes that are shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewBackupCodes {
    /// `backup_codes`
    r#type: &'static str,
    /// Each is good once.
    backup_codes: Vec<String>,
}

/// Makes a secret for an authenticator, in place of one that isn't confirmed.
#[utoipa::path(post, operation_id = "mfa_totp_begin", path = "/mfa/totp", tag = "sessions", request_body = Beginning, responses((status = 201, body = NewTotp)))]
pub(crate) async fn begin(
    State(shared): State<Shared>,
    caller: Caller,
    Body(beginning): Body<Beginning>,
) -> Result<(StatusCode, Json<NewTotp>)> {
    let (_, user_id) = caller.session()?;
    let proven = Proven::of_session(&shared, &caller, &beginning.password).await?;
    let secret: [u8; totp::SECRET_BYTES] = rand::rng().random();
    let kept = shared.vault.lock(user_id, &secret)?;
    let begun = Transaction::within_unguarded(&shared.pool, &caller, async |transaction| {
        let held = proven.hold(transaction).await?;
        must_be(&held, false)?;
        let sql =
            "UPDATE users SET mfa_secret = $2, mfa_last_step = NULL WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&user_id, &kept]).await.map(drop)
    });
    noting(&shared, &caller.origin, user_id, begun.await).await?;
    let shown = NewTotp {
        r#type: "totp",
        secret: totp::shown(&secret),
        otpauth_uri: totp::uri(&secret, &proven.email),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Makes the second factor needed from now on, and backup codes. The user's other sessions end.
#[utoipa::path(post, operation_id = "mfa_totp_confirm", path = "/mfa/totp/confirm", tag = "sessions", request_body = Confirmation, responses((status = 200, body = NewBackupCodes)))]
pub(crate) async fn confirm(
    State(shared): State<Shared>,
    caller: Caller,
    Body(confirmation): Body<Confirmation>,
) -> Result<Json<NewBackupCodes>> {
    let (session, user_id) = caller.session()?;
    let codes = BackupCodes::generate(user_id);
    Transaction::within_unguarded(&shared.pool, &caller, async |transaction| {
        let held = Held::of(transaction, user_id, None).await?;
        let held = held.ok_or_else(failed)?;
        // Whatever was waited for may have ended the session, or taken its user's password away.
        caller.check_again(transaction).await?;
        must_be(&held, false)?;
        if held.mfa_secret.is_none() {
            let message = "there is nothing to confirm: begin with POST /mfa/totp";
            return Err(ApiError::conflict("mfa_not_begun", message));
        }
        let code = confirmation.code.0.trim();
        let step = second_factor::counting(&shared, user_id, async || {
            let step = second_factor::step(&shared, &held, code)?;
            step.ok_or_else(|| ApiError::invalid("code", "is not the code of now"))
        });
        let step = step.await?;
        let sql = "UPDATE users SET mfa_enabled = TRUE, mfa_last_step = $2, mfa_backup_codes = $3
            WHERE id = $1 RETURNING id";
        transaction
            .one(sql, &[&user_id, &step, &codes.hashes])
            .await?;
        end_sessions(transaction, user_id, Some(session)).await
    })
    .await?;
    Ok(Json(shown(codes)))
}

/// Takes the second factor away. The user's other sessions end.
#[utoipa::path(delete, operation_id = "mfa_totp_delete", path = "/mfa/totp", tag = "sessions", request_body = WithCode, responses((status = 200, body = Deleted)))]
pub(crate) async fn remove(
    State(shared): State<Shared>,
    caller: Caller,
    Body(proof): Body<WithCode>,
) -> Result<Json<Deleted>> {
    let (session, user_id) = caller.session()?;
    proving(&shared, &caller, &proof, async |transaction| {
        second_factor::forget(transaction, user_id).await?;
        end_sessions(transaction, user_id, Some(session)).await
    })
    .await?;
    Ok(Json(Deleted::new(user_id, "totp_deleted")))
}

/// Makes new backup codes in place of those there are. The user's other sessions end.
#[utoipa::path(post, operation_id = "mfa_backup_codes_renew", path = "/mfa/backup-codes", tag = "sessions", request_body = WithCode, responses((status = 200, body = NewBackupCodes)))]
pub(crate) async fn renew(
    State(shared): State<Shared>,
    caller: Caller,
    Body(proof): Body<WithCode>,
) -> Result<Json<NewBackupCodes>> {
    let (session, user_id) = caller.session()?;
    let codes = BackupCodes::generate(user_id);
    proving(&shared, &caller, &proof, async |transaction| {
        let sql = "UPDATE users SET mfa_backup_codes = $2 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&user_id, &codes.hashes]).await?;
        end_sessions(transaction, user_id, Some(session)).await
    })
    .await?;
    Ok(Json(shown(codes)))
}

fn shown(codes: BackupCodes) -> NewBackupCodes {
    NewBackupCodes {
        r#type: "backup_codes",
        backup_codes: codes.texts,
    }
}

/// What takes both the password and a code.
async fn proving(
    shared: &Shared,
    caller: &Caller,
    proof: &WithCode,
    work: impl AsyncFnOnce(&Transaction) -> Result<()>,
) -> Result<()> {
    let (_, user_id): (Uuid, Uuid) = caller.session()?;
    let proven = Proven::of_session(shared, caller, &proof.password).await?;
    let done = Transaction::within_unguarded(&shared.pool, caller, async |transaction| {
        let held = proven.hold(transaction).await?;
        must_be(&held, true)?;
        second_factor::take(shared, transaction, &held, Some(&proof.code)).await?;
        work(transaction).await
    });
    noting(shared, &caller.origin, user_id, done.await).await
}

fn must_be(held: &Held, enabled: bool) -> Result<()> {
    match (held.mfa_enabled, enabled) {
        (true, false) => Err(ApiError::conflict(
            "mfa_enabled",
            "there is a second factor already: remove it first",
        )),
        (false, true) => Err(ApiError::conflict(
            "mfa_not_enabled",
            "there is no second factor",
        )),
        (true, true) | (false, false) => Ok(()),
    }
}
