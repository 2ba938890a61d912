//! A writer: one stream, one dedicated connection, one transaction a batch.
//!
//! `ingest_cursor` holds how many rows of the stream are stored, and moves in the transaction that stores
//! them. A batch whose fate is unknown is therefore settled by one question; the row lock makes the answer
//! wait for a transaction that is still ending.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::pricing::Unpriced;
use domain::{Basis, Clock, Prices, Repeatable, UsageEvent, error_chain};
use futures_util::SinkExt;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{Client, Statement, Transaction};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::batch::{Batch, BatchData};
use crate::capacity::Capacity;
use crate::database::{Database, DatabaseError};
use crate::mcp_row::MCP_COPY_STATEMENT;
use crate::metrics::WriterMetrics;
use crate::once;
use crate::row::COPY_STATEMENT;

/// A connection that makes no progress for this long is given up; the cursor tells what it did.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a COPY sends in one step.
const SLICE_BYTES: usize = 256 << 10;
/// What ends on the server what was given up here: a transaction whose COMMIT never came keeps its locks until
/// the server gives it up too.
const SESSION: &str = "SET statement_timeout = 0; SET lock_timeout = '20s'; \
    SET idle_in_transaction_session_timeout = '20s'";
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

pub(crate) struct Writer {
    database: Database,
    clock: Arc<dyn Clock>,
    metrics: WriterMetrics,
    prices: Arc<Prices>,
    capacity: Arc<Capacity>,
    tasks: TaskTracker,
    stream: Uuid,
    /// Rows of the stream known to be stored.
    stored: i64,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    copy: Statement,
    copy_mcp_calls: Statement,
    advance: Statement,
}

#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("the database refused a statement")]
    Statement(#[from] tokio_postgres::Error),
    #[error("the database's cursor stands at {found} and not at {before}")]
    Cursor { found: i64, before: i64 },
    #[error("the cursor moved under the transaction")]
    Moved,
    #[error("no answer from the database within {} s", STEP_TIMEOUT.as_secs())]
    Silent,
}

impl Writer {
    pub(crate) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        prices: Arc<Prices>,
        capacity: Arc<Capacity>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            database,
            clock,
            prices,
            metrics: WriterMetrics::register(),
            capacity,
            tasks,
            stream: Uuid::now_v7(),
            stored: 0,
            connection: None,
        }
    }

    /// Stores batches until the flusher is done.
    pub(crate) async fn run(mut self, batches: Arc<Mutex<mpsc::Receiver<Batch>>>) {
        loop {
            let next = batches.lock().await.recv().await;
            let Some(batch) = next else { break };
            let rows = batch.len();
            self.store(batch.into_data(), rows).await;
            self.capacity.give_back(rows);
        }
        self.retire().await;
    }

    /// Stores one batch, however long the database is away.
    async fn store(&mut self, data: BatchData, rows: usize) {
        let mut backoff = FIRST_BACKOFF;
        let mut failing = false;
        let rows_i64 = i64::try_from(rows).unwrap_or(i64::MAX);
        loop {
            let started = self.clock.monotonic();
            match self.attempt(&data, rows_i64).await {
                Ok(()) => {
                    self.stored += rows_i64;
                    self.account(
                        rows,
                        self.clock.monotonic().saturating_sub(started),
                        failing,
                    );
                    return;
                }
                Err(error) => self.report(&error, rows, failing),
            }
            failing = true;
            self.connection = None;
            tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn attempt(&mut self, data: &BatchData, rows: i64) -> Result<(), StoreError> {
        let (before, after) = (self.stored, self.stored + rows);
        let fresh = self.connection.is_none();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.database, &self.tasks, self.stream).await?),
        };
        if fresh {
            let found = connection.cursor(self.stream).await?;
            if found == after {
                return Ok(());
            }
            if found != before {
                self.begin_new_stream(found, before);
                return Err(StoreError::Cursor { found, before });
            }
        }
        let positions = (before, after);
        let unpriced = connection
            .copy(data, self.stream, positions, &self.prices)
            .await?;
        for reason in unpriced {
            WriterMetrics::unpriced(reason);
        }
        Ok(())
    }

    /// The database went back behind what it had confirmed: a failover to a standby that lagged, or a
    /// restore. This batch is not in it, so it goes on in a stream of its own; what is missing before it is
    /// no longer in memory.
    fn begin_new_stream(&mut self, found: i64, before: i64) {
        tracing::error!(
            stream = %self.stream, found, expected = before, missing = before.saturating_sub(found),
            "the database has lost usage events that it had confirmed"
        );
        self.stream = Uuid::now_v7();
        self.stored = 0;
    }

    fn account(&self, rows: usize, took: Duration, recovered: bool) {
        self.metrics.database_up.set(1.0);
        self.metrics.stored.increment(rows as u64);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch has thousands of rows, not 2^52"
        )]
        self.metrics.batch_rows.record(rows as f64);
        self.metrics.copy_seconds.record(took.as_secs_f64());
        if recovered {
            tracing::info!(
                rows,
                "the database is back; waiting usage events are being stored"
            );
        }
    }

    fn report(&self, error: &StoreError, rows: usize, failing: bool) {
        self.metrics.database_up.set(0.0);
        let chain = error_chain(error);
        if failing {
            tracing::debug!(error = %chain, rows, "usage events still can't be stored");
        } else {
            tracing::error!(error = %chain, rows, "usage events can't be stored; they wait in memory");
        }
    }

    /// Removes the cursor of a stream that is stored to its end.
    async fn retire(self) {
        let Some(connection) = self.connection else {
            return;
        };
        let statement = "DELETE FROM ingest_cursor WHERE stream = $1";
        if let Err(error) = connection.client.execute(statement, &[&self.stream]).await {
            // Harmless: the row is one nobody will ask for.
            tracing::debug!(%error, "the cursor of a finished stream stays behind");
        }
    }
}

impl Connection {
    async fn open(
        database: &Database,
        tasks: &TaskTracker,
        stream: Uuid,
    ) -> Result<Self, StoreError> {
        let connecting = tokio::time::timeout(STEP_TIMEOUT, database.connect(tasks));
        let client = connecting.await.map_err(|_| StoreError::Silent)??;
        step(client.batch_execute(SESSION)).await?;
        step(client.execute(
            "INSERT INTO ingest_cursor (stream, seq, epoch, updated_at) VALUES ($1, 0, 1, now()) \
             ON CONFLICT (stream) DO NOTHING",
            &[&stream],
        ))
        .await?;
        let copy = step(client.prepare(COPY_STATEMENT)).await?;
        let copy_mcp_calls = step(client.prepare(MCP_COPY_STATEMENT)).await?;
        let advance =
            "UPDATE ingest_cursor SET seq = $3, updated_at = now() WHERE stream = $1 AND seq = $2";
        let advance = step(client.prepare(advance)).await?;
        Ok(Self {
            client,
            copy,
            copy_mcp_calls,
            advance,
        })
    }

    /// How many rows of the stream are stored. Waits for a transaction that still holds the row.
    async fn cursor(&self, stream: Uuid) -> Result<i64, StoreError> {
        let query = "SELECT seq FROM ingest_cursor WHERE stream = $1 FOR UPDATE";
        Ok(step(self.client.query_one(query, &[&stream]))
            .await?
            .try_get(0)?)
    }

    async fn copy(
        &mut self,
        data: &BatchData,
        stream: Uuid,
        (before, after): (i64, i64),
        prices: &Prices,
    ) -> Result<Vec<Unpriced>, StoreError> {
        let mut unpriced = Vec::new();
        let transaction = step(self.client.transaction()).await?;
        let statements = [&self.copy, &self.copy_mcp_calls];
        step(once::remember_objects(&transaction, &data.creations)).await?;
        copy_all(&transaction, &statements, data).await?;
        if !data.once.is_empty() {
            let fresh = step(once::news(&transaction, &data.once, prices)).await?;
            unpriced = fresh.iter().filter_map(total_without_price).collect();
            let fresh = Batch::rows_of(&fresh);
            copy_all(&transaction, &statements, &fresh).await?;
        }
        let moved = step(transaction.execute(&self.advance, &[&stream, &before, &after])).await?;
        if moved != 1 {
            // Dropped, the transaction rolls back; the next attempt asks where the cursor is.
            return Err(StoreError::Moved);
        }
        step(transaction.commit()).await?;
        Ok(unpriced)
    }
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
