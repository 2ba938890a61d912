//! A writer's connection: the cursor of its stream, and the transaction that stores a batch and moves it.

use std::time::Duration;

use bytes::Bytes;
use domain::pricing::Unpriced;
use domain::{Basis, Prices, Repeatable, UsageEvent};
use futures_util::SinkExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement, Transaction};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::batch::{Batch, BatchData};
use crate::database::{Database, DatabaseError};
use crate::decided::Decided;
use crate::mcp_row::MCP_COPY_STATEMENT;
use crate::once;
use crate::row::COPY_STATEMENT;

/// A connection that makes no progress for this long is given up; the cursor tells what it did.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a COPY sends in one step.
const SLICE_BYTES: usize = 256 << 10;
/// The year 9999.
const LATEST_UNIX_MICROS: i64 = 253_370_764_800_000_000;
/// What ends on the server what was given up here: a transaction whose COMMIT never came keeps its locks until
/// the server gives it up too.
const SESSION: &str = "SET statement_timeout = 0; SET lock_timeout = '20s'; \
    SET idle_in_transaction_session_timeout = '20s'";

/// Why a batch isn't stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("the database refused a statement")]
    Statement(#[from] tokio_postgres::Error),
    /// What fails only here is no row's fault.
    #[error("the transaction could not be committed")]
    Commit(#[source] tokio_postgres::Error),
    #[error("the cursor moved under the transaction")]
    Moved,
    #[error("no answer from the database within {} s", STEP_TIMEOUT.as_secs())]
    Silent,
}

impl StoreError {
    /// Whether it is for what some row holds that the database refuses: the same again would be refused again. Everything else
    /// may pass: a lost connection, a full disk, a missing table or right.
    pub(crate) fn is_for_a_row(&self) -> bool {
        let Self::Statement(error) = self else {
            return false;
        };
        let Some(code) = error.code() else {
            return false;
        };
        // Data exceptions, violated constraints, limits of the program, what a trigger raises.
        matches!(code.code().get(..2), Some("22" | "23" | "54"))
            || *code == SqlState::RAISE_EXCEPTION
    }
}

/// How far a stream is stored, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The last stored event.
    pub(crate) seq: u64,
    /// Grows with each process that takes the stream over.
    pub(crate) epoch: i64,
}

/// An event to be set aside.
#[derive(Debug)]
pub(crate) struct DeadLetter<'a> {
    pub(crate) request_id: Uuid,
    pub(crate) unix_micros: i64,
    pub(crate) reason: &'a str,
    pub(crate) payload: &'a [u8],
}

/// A connection that stores.
pub(crate) struct Connection {
    client: Client,
    copy: Statement,
    copy_mcp_calls: Statement,
    advance: Statement,
}

impl Connection {
    pub(crate) async fn open(database: &Database, tasks: &TaskTracker) -> Result<Self, StoreError> {
        let connecting = tokio::time::timeout(STEP_TIMEOUT, database.connect(tasks));
        let client = connecting.await.map_err(|_| StoreError::Silent)??;
        step(client.batch_execute(SESSION)).await?;
        let copy = step(client.prepare(COPY_STATEMENT)).await?;
        let copy_mcp_calls = step(client.prepare(MCP_COPY_STATEMENT)).await?;
        let advance = "UPDATE ingest_cursor SET seq = $3, updated_at = now() WHERE stream = $1 AND seq = $2 AND epoch = $4";
        let advance = step(client.prepare(advance)).await?;
        Ok(Self {
            client,
            copy,
            copy_mcp_calls,
            advance,
        })
    }

    /// Makes the stream this process' own. Waits for a transaction that still holds its cursor.
    pub(crate) async fn take_over(&self, stream: Uuid) -> Result<Cursor, StoreError> {
        let statement = "INSERT INTO ingest_cursor (stream, seq, epoch, updated_at) VALUES ($1, 0, 1, now()) \
            ON CONFLICT (stream) DO UPDATE SET epoch = ingest_cursor.epoch + 1, updated_at = now() RETURNING seq, epoch";
        self.read_cursor(statement, stream).await
    }

    /// The truth, after any doubt. Waits for a transaction that still holds the row; none if there is no row.
    pub(crate) async fn cursor(&self, stream: Uuid) -> Result<Option<Cursor>, StoreError> {
        let query = "SELECT seq, epoch FROM ingest_cursor WHERE stream = $1 FOR UPDATE";
        let row = step(self.client.query_opt(query, &[&stream])).await?;
        row.as_ref().map(read).transpose()
    }

    /// Says that what is before `seq` isn't there to be stored any more.
    pub(crate) async fn skip_to(
        &self,
        stream: Uuid,
        before: Cursor,
        seq: u64,
    ) -> Result<(), StoreError> {
        let arguments = (stream, signed(before.seq), signed(seq), before.epoch);
        let moved = step(self.client.execute(
            &self.advance,
            &[&arguments.0, &arguments.1, &arguments.2, &arguments.3],
        ))
        .await?;
        moved_once(moved)
    }

    async fn read_cursor(&self, statement: &str, stream: Uuid) -> Result<Cursor, StoreError> {
        read(&step(self.client.query_one(statement, &[&stream])).await?)
    }

    /// Stores a batch and moves the cursor behind it. Answers what has no price. What turns out to be new is added to `decided`,
    /// to count if this is committed.
    pub(crate) async fn store(
        &mut self,
        data: &BatchData,
        before: Cursor,
        prices: &Prices,
        decided: &mut Decided,
    ) -> Result<Vec<Unpriced>, StoreError> {
        let mut unpriced = Vec::new();
        let transaction = step(self.client.transaction()).await?;
        let statements = [&self.copy, &self.copy_mcp_calls];
        step(once::remember_objects(&transaction, &data.creations)).await?;
        copy_all(&transaction, &statements, data).await?;
        if !data.once.is_empty() {
            let fresh = step(once::news(&transaction, &data.once, prices)).await?;
            unpriced = fresh.iter().filter_map(total_without_price).collect();
            fresh.iter().for_each(|event| decided.add(event));
            let fresh = Batch::rows_of(&fresh);
            copy_all(&transaction, &statements, &fresh).await?;
        }
        let (stream, after) = (decided.stream, decided.seq);
        advance(&transaction, &self.advance, stream, before, after).await?;
        commit(transaction).await?;
        Ok(unpriced)
    }

    /// Sets one event aside and moves the cursor behind it.
    pub(crate) async fn set_aside(
        &mut self,
        letter: &DeadLetter<'_>,
        stream: Uuid,
        before: Cursor,
        after: u64,
    ) -> Result<(), StoreError> {
        let transaction = step(self.client.transaction()).await?;
        let statement =
            "INSERT INTO ingest_dead_letters (stream, seq, request_id, time, reason, payload)
            VALUES ($1, $2, $3, to_timestamp($4::bigint / 1000000.0), $5, $6) ON CONFLICT DO NOTHING";
        let reason = letter.reason.replace('\0', "\u{fffd}");
        // Within what PostgreSQL can say of time.
        let unix_micros = letter.unix_micros.clamp(0, LATEST_UNIX_MICROS);
        step(transaction.execute(
            statement,
            &[
                &stream,
                &signed(after),
                &letter.request_id,
                &unix_micros,
                &reason,
                &letter.payload,
            ],
        ))
        .await?;
        advance(&transaction, &self.advance, stream, before, after).await?;
        commit(transaction).await
    }
}

/// Dropped without a commit, the transaction rolls back; the next attempt asks where the cursor is.
async fn advance(
    transaction: &Transaction<'_>,
    statement: &Statement,
    stream: Uuid,
    before: Cursor,
    after: u64,
) -> Result<(), StoreError> {
    let (from, to) = (signed(before.seq), signed(after));
    let moved = step(transaction.execute(statement, &[&stream, &from, &to, &before.epoch])).await?;
    moved_once(moved)
}

async fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    step(transaction.commit())
        .await
        .map_err(|error| match error {
            StoreError::Statement(error) => StoreError::Commit(error),
            error @ (StoreError::Connect(_)
            | StoreError::Commit(_)
            | StoreError::Moved
            | StoreError::Silent) => error,
        })
}

fn moved_once(rows: u64) -> Result<(), StoreError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Moved)
    }
}

fn read(row: &tokio_postgres::Row) -> Result<Cursor, StoreError> {
    Ok(Cursor {
        seq: row.try_get::<_, i64>(0)?.unsigned_abs(),
        epoch: row.try_get(1)?,
    })
}

fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Why what is new in a running total has no price. Other events are counted where they are priced.
fn total_without_price(event: &UsageEvent) -> Option<Unpriced> {
    match (&event.repeatable, &event.cost.basis) {
        (Some(Repeatable::Total(_)), Basis::Unpriced(reason)) => Some(*reason),
        _ => None,
    }
}

/// Sends the encoded rows of events and of calls.
async fn copy_all(
    transaction: &Transaction<'_>,
    [events, mcp_calls]: &[&Statement; 2],
    data: &BatchData,
) -> Result<(), StoreError> {
    for (statement, data) in [(events, &data.events), (mcp_calls, &data.mcp_calls)] {
        if let Some(data) = data {
            copy_in(transaction, statement, data).await?;
        }
    }
    Ok(())
}

async fn copy_in(
    transaction: &Transaction<'_>,
    statement: &Statement,
    data: &Bytes,
) -> Result<(), StoreError> {
    let sink = step(transaction.copy_in(statement)).await?;
    let mut sink = std::pin::pin!(sink);
    for start in (0..data.len()).step_by(SLICE_BYTES) {
        let slice = data.slice(start..data.len().min(start + SLICE_BYTES));
        step(sink.send(slice)).await?;
    }
    step(sink.finish()).await?;
    Ok(())
}

/// One exchange with the server, which may take its time but not for ever.
async fn step<T>(
    exchange: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(STEP_TIMEOUT, exchange).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Silent),
    }
}
