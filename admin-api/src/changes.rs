//! Changes that are the same for every resource.

use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Shown, Tagged, Versioned};
use crate::idempotency::Turn;
use crate::listing::{self, Listed};
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;

/// Makes one, and answers with what was made; once, if the request has an `Idempotency-Key`.
pub(crate) async fn create<T: Serialize + Versioned>(
    shared: &Shared,
    caller: &Caller,
    make: impl AsyncFnOnce(&Transaction) -> Result<T>,
) -> Result<Tagged<T>> {
    let made = Transaction::within(&shared.pool, caller, async |transaction| {
        let Some(once) = &caller.once else {
            return make(transaction).await.map(fresh);
        };
        if let Turn::Again(answer) = once.begin(transaction, caller.org_id).await? {
            let shown = serde_json::from_slice(&answer);
            let shown = shown.map_err(|_| ApiError::broken("reading a kept answer"))?;
            return Ok(Tagged::Again(shown));
        }
        let made = make(transaction).await?;
        let answer = Shown::new(&made).and_then(|shown| serde_json::to_vec(&shown));
        let answer = answer.map_err(|_| ApiError::broken("writing an answer"))?;
        once.keep(transaction, answer).await?;
        Ok(fresh(made))
    });
    made.await
}

fn fresh<T>(made: T) -> Tagged<T> {
    Tagged::Fresh(StatusCode::CREATED, made)
}

/// Changes one, if it is the one that is meant, and answers with what it is then.
pub(crate) async fn change<T: Listed + Versioned>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
    columns: &Columns,
) -> Result<Tagged<T>> {
    change_by(shared, caller, id, if_match, async |transaction, _| {
        columns.update(transaction, T::TABLE, id).await
    })
    .await
}

/// The same, by what depends on how it is now.
pub(crate) async fn change_by<T: Listed + Versioned>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
    work: impl AsyncFnOnce(&Transaction, T) -> Result<()>,
) -> Result<Tagged<T>> {
    let changed = Transaction::within(&shared.pool, caller, async |transaction| {
        let found = listing::lock::<T>(transaction, caller, id).await?;
        if_match.check(&found)?;
        work(transaction, found).await?;
        listing::find(transaction, caller, id).await
    });
    changed.await.map(Tagged::ok)
}

/// Takes one out of sight, if it is the one that is meant.
pub(crate) async fn delete<T: Listed + Versioned>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
) -> Result<()> {
    Transaction::within(&shared.pool, caller, async |transaction| {
        if_match.check(&listing::lock::<T>(transaction, caller, id).await?)?;
        let sql = format!(
            "UPDATE {} SET deleted_at = now() WHERE id = $1 RETURNING id",
            T::TABLE
        );
        transaction.one(&sql, &[&id]).await.map(drop)
    })
    .await
}
