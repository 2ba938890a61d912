//! Applies and undoes a list of migrations.
//!
//! Each file runs in one transaction together with its entry in `schema_migrations`, so a failing file leaves nothing
//! and those before it stay. A file that opted out is one statement and is entered after it: should the process die in
//! between, the next run repeats the statement, so it must bear that (`IF NOT EXISTS`).

use tokio_postgres::Client;

use crate::error::Error;
use crate::lock::Lock;
use crate::migration::{Migration, Script};
use crate::status::{Applied, MigrationStatus, Reverted};
use crate::{history, plan, refusal};

/// Applies what of `known` is pending, oldest first.
///
/// # Errors
///
/// As [`crate::up`].
pub async fn up(client: &mut Client, known: &[Migration]) -> Result<Vec<Applied>, Error> {
    let mut lock = Lock::acquire(client).await?;
    let applied = apply_pending(lock.client(), known).await;
    let released = lock.release().await;
    let applied = applied?;
    released.map(|()| applied)
}

/// Undoes at most `steps` applied migrations of `known`, newest first.
///
/// # Errors
///
/// As [`crate::down`].
pub async fn down(
    client: &mut Client,
    known: &[Migration],
    steps: usize,
) -> Result<Vec<Reverted>, Error> {
    let mut lock = Lock::acquire(client).await?;
    let reverted = revert_newest(lock.client(), known, steps).await;
    let released = lock.release().await;
    let reverted = reverted?;
    released.map(|()| reverted)
}

/// Every migration of `known` or applied, oldest first.
///
/// # Errors
///
/// As [`crate::status`].
pub async fn status(client: &Client, known: &[Migration]) -> Result<Vec<MigrationStatus>, Error> {
    let applied = history::read(client).await?;
    Ok(plan::status(known, &applied))
}

async fn apply_pending(client: &mut Client, known: &[Migration]) -> Result<Vec<Applied>, Error> {
    history::prepare(client).await?;
    let pending = plan::pending(known, &history::read(client).await?)?;
    let mut applied = Vec::with_capacity(pending.len());
    for migration in pending {
        let duration_ms = apply(client, migration).await?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            duration_ms,
            "migration applied"
        );
        applied.push(Applied {
            version: migration.version,
            name: migration.name,
            duration_ms,
        });
    }
    Ok(applied)
}

async fn revert_newest(
    client: &mut Client,
    known: &[Migration],
    steps: usize,
) -> Result<Vec<Reverted>, Error> {
    let undoable = plan::undoable(known, &history::read(client).await?, steps)?;
    let mut reverted = Vec::with_capacity(undoable.len());
    for migration in undoable {
        revert(client, migration).await?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "migration undone"
        );
        reverted.push(Reverted {
            version: migration.version,
            name: migration.name,
        });
    }
    Ok(reverted)
}

async fn apply(client: &mut Client, migration: &Migration) -> Result<i64, Error> {
    let script = migration.up_script();
    let started_at = history::now(client).await?;
    if !script.in_transaction {
        run_alone(client, &script).await?;
        return history::add(client, migration, started_at).await;
    }
    let transaction = client.transaction().await.map_err(refusal::of(&script))?;
    let run = transaction.batch_execute(script.sql).await;
    run.map_err(refusal::of(&script))?;
    let duration_ms = history::add(&transaction, migration, started_at).await?;
    // Deferred constraints are checked only now.
    transaction.commit().await.map_err(refusal::of(&script))?;
    Ok(duration_ms)
}

async fn revert(client: &mut Client, migration: &Migration) -> Result<(), Error> {
    let script = migration.down_script();
    if !script.in_transaction {
        run_alone(client, &script).await?;
        return history::remove(client, migration.version).await;
    }
    let transaction = client.transaction().await.map_err(refusal::of(&script))?;
    let run = transaction.batch_execute(script.sql).await;
    run.map_err(refusal::of(&script))?;
    history::remove(&transaction, migration.version).await?;
    transaction.commit().await.map_err(refusal::of(&script))
}

/// In the extended protocol, where the server itself refuses a second statement.
async fn run_alone(client: &Client, script: &Script) -> Result<(), Error> {
    let run = client.execute(script.sql, &[]).await;
    run.map(drop).map_err(refusal::of(script))
}
