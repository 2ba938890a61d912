//! How far back there is everything.
//!
//! What has been dropped in part is refused, rather than added up as if it were all there ever was.

use chrono::{DateTime, Utc};

use crate::error::{ApiError, Result};
use crate::resources::usage::{Source, Width};
use crate::transaction::Transaction;

/// Refuses what begins before the source has every row; says what is the first bucket that can be had.
pub(crate) async fn check(
    transaction: &Transaction,
    source: Source,
    (path, since): (&str, DateTime<Utc>),
    width: Width,
) -> Result<()> {
    let Some(kept) = kept_since(transaction, source).await? else {
        return Ok(());
    };
    if since >= kept {
        return Ok(());
    }
    let first = width
        .first_whole(kept)
        .ok_or_else(|| ApiError::broken("reading how long usage is kept"))?;
    Err(ApiError::not_kept(path, source.name(), first))
}

/// Since when there is every row; none: since ever.
pub(crate) async fn kept_since(
    transaction: &Transaction,
    source: Source,
) -> Result<Option<DateTime<Utc>>> {
    let sql = "SELECT kept_since($1::text::name)";
    let row = transaction.one(sql, &[&source.name()]).await?;
    Ok(row.try_get(0)?)
}
