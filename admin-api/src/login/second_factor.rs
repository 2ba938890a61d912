//! The second factor of a user that a transaction holds.

use uuid::Uuid;

use super::proof::{Held, failed};
use super::secret::Secret;
use super::{backup_codes, totp};
use crate::error::{ApiError, Result};
use crate::server::Shared;
use crate::transaction::Transaction;

/// Takes a code, where one is needed; none is taken twice.
pub(crate) async fn take(
    shared: &Shared,
    transaction: &Transaction,
    held: &Held,
    code: Option<&Secret>,
) -> Result<()> {
    if !held.mfa_enabled {
        return Ok(());
    }
    let Some(Secret(code)) = code else {
        let message = "a `code` is needed: of the authenticator, or a backup code";
        return Err(ApiError::unauthenticated("mfa_required", message));
    };
    counting(shared, held.user_id, async || {
        take_given(shared, transaction, held, code.trim()).await
    })
    .await
}

/// Looks at a code, unless there were too many wrong ones.
pub(super) async fn counting<T>(
    shared: &Shared,
    user_id: Uuid,
    look: impl AsyncFnOnce() -> Result<T>,
) -> Result<T> {
    shared.throttles.code(user_id)?;
    let looked = look().await;
    let is_wrong = matches!(&looked, Err(error) if error.status.is_client_error());
    if !is_wrong {
        shared.throttles.not_a_wrong_code(user_id);
    }
    looked
}

async fn take_given(
    shared: &Shared,
    transaction: &Transaction,
    held: &Held,
    code: &str,
) -> Result<()> {
    if totp::is_one(code) {
        let step = step(shared, held, code)?.ok_or_else(failed)?;
        let sql = "UPDATE users SET mfa_last_step = $2 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&held.user_id, &step]).await?;
        return Ok(());
    }
    let hash = backup_codes::hash(held.user_id, code).ok_or_else(failed)?;
    let sql = "UPDATE users SET mfa_backup_codes = array_remove(mfa_backup_codes, $2)
        WHERE id = $1 AND $2 = ANY (mfa_backup_codes) RETURNING id";
    let taken = transaction.maybe(sql, &[&held.user_id, &hash]).await?;
    taken.map(drop).ok_or_else(failed)
}

/// The step that a one-time password is for, if it is right.
pub(super) fn step(shared: &Shared, held: &Held, code: &str) -> Result<Option<i64>> {
    let Some(kept) = &held.mfa_secret else {
        return Ok(None);
    };
    let secret = shared.vault.unlock(held.user_id, kept)?;
    let now = shared.clock.now();
    Ok(totp::step_of(&secret, code, now, held.mfa_last_step))
}

/// Takes a user's second factor away.
pub(crate) async fn forget(transaction: &Transaction, user_id: Uuid) -> Result<()> {
    let sql = "UPDATE users SET mfa_enabled = FALSE, mfa_secret = NULL, mfa_backup_codes = NULL, mfa_last_step = NULL
        WHERE id = $1 RETURNING id";
    transaction.one(sql, &[&user_id]).await.map(drop)
}
