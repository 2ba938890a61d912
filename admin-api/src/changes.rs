//! Changes that are the same for every resource.

use http::StatusCode;
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::Result;
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Listed};
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;

/// Changes one, if it is the one that is meant, and answers with what it is then.
pub(crate) async fn change<T: Listed + Versioned>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
    columns: &Columns,
) -> Result<Tagged<T>> {
    let transaction = Transaction::begin(&shared.pool, caller).await?;
    let changed = async {
        if_match.check(&listing::lock::<T>(&transaction, caller, id).await?)?;
        columns.update(&transaction, T::TABLE, id).await?;
        listing::find(&transaction, caller, id).await
    };
    let changed = changed.await;
    let changed = transaction.end(changed).await?;
    Ok(Tagged(StatusCode::OK, changed))
}

/// Takes one out of sight, if it is the one that is meant.
pub(crate) async fn delete<T: Listed + Versioned>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
) -> Result<()> {
    let transaction = Transaction::begin(&shared.pool, caller).await?;
    let deleted = async {
        if_match.check(&listing::lock::<T>(&transaction, caller, id).await?)?;
        let sql = format!(
            "UPDATE {} SET deleted_at = now() WHERE id = $1 RETURNING id",
            T::TABLE
        );
        transaction.one(&sql, &[&id]).await
    };
    let deleted = deleted.await.map(drop);
    transaction.end(deleted).await
}
