//! The schema of MindWeave and the small runner that brings a database to it.
//!
//! The SQL lies beside this crate's manifest, a pair of files a migration, and is embedded when the crate is built.
//! The runner guarantees that a file is applied whole or not at all, once, in order, by one process at a time, and that
//! nothing runs over a history it cannot vouch for. It creates no database and no role.
//!
//! The functions here run the embedded list; [`runner`] takes any.

mod create;
mod error;
mod file_name;
mod history;
mod lock;
mod migration;
mod plan;
mod refusal;
pub mod runner;
mod status;

use tokio_postgres::Client;

pub use crate::create::create;
pub use crate::error::Error;
pub use crate::migration::{Migration, all};
pub use crate::refusal::Refusal;
pub use crate::status::{Applied, MigrationStatus, Reverted, State};

/// Brings the database to this program's schema and answers what that took, oldest first. Ends by making the partitions
/// of the time to come.
///
/// Waits while another process migrates the same database, so any number may call it at once; what they did is not done
/// again. The connection must be direct, or pooled by session.
///
/// # Errors
///
/// A migration the server refuses; a history with a changed file, an unknown version or a gap, in which case nothing is
/// run; a database that can't be used.
pub async fn up(client: &mut Client) -> Result<Vec<Applied>, Error> {
    let applied = runner::up(client, all()).await?;
    let made = client.execute("SELECT make_partitions_ahead()", &[]).await;
    made.map_err(Error::database("make the partitions of the time to come"))?;
    Ok(applied)
}

/// Undoes at most `steps` migrations and answers which, newest first.
///
/// # Errors
///
/// As [`up`], but a gap is no hindrance: undoing what is newer is the way out of it.
pub async fn down(client: &mut Client, steps: usize) -> Result<Vec<Reverted>, Error> {
    runner::down(client, all(), steps).await
}

/// Every migration this program knows or the database has, oldest first. Changes nothing, also in an empty database.
///
/// # Errors
///
/// A database that can't be read.
pub async fn status(client: &Client) -> Result<Vec<MigrationStatus>, Error> {
    runner::status(client, all()).await
}

/// The newest version applied to the database. Changes nothing.
///
/// # Errors
///
/// A database that can't be read.
pub async fn version(client: &Client) -> Result<Option<i64>, Error> {
    let applied = history::read(client).await?;
    Ok(applied.last().map(|record| record.version))
}
