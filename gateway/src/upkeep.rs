//! What the database needs done from time to time and doesn't do by itself: partitions for the days to come, rollups,
//! retention, the state of keys and the removal of sessions that have expired.
//!
//! Guarantees: of all gateways on one database one does it at a time; what was missed, by whatever fault, the next run
//! makes up for. Nothing here is waited for by anybody: rows without a partition go to the default one.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, error_chain};
use ingest::{Database, DatabaseError};
use metrics::{describe_gauge, gauge};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const INTERVAL: Duration = Duration::from_secs(60);
/// After a run that failed; twice as long after the next, up to the interval.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// A run that takes longer is given up with its connection; whatever it was doing is rolled back.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);
/// "mindweup" in ASCII: the advisory lock of whoever leads.
const LEADER: i64 = 0x6d69_6e64_7765_7570;

/// Runs once a minute, and sooner after a failure.
pub(crate) struct Upkeep {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("a query failed")]
    Query(#[from] tokio_postgres::Error),
    #[error("not done within {} s", RUN_TIMEOUT.as_secs())]
    Slow,
}

impl Upkeep {
    /// Registers the metric, so that it is there before the first run.
    pub(crate) fn describe() {
        describe_gauge!(
            "mindweave_upkeep_lag_seconds",
            "Time between the last run of the database's upkeep that was tried and the last that succeeded"
        );
        gauge!("mindweave_upkeep_lag_seconds").set(0.0);
        describe_gauge!(
            "mindweave_usage_rollup_lag_seconds",
            "Age of the newest usage that the rollups have stored; what is newer is computed live"
        );
        gauge!("mindweave_usage_rollup_lag_seconds").set(0.0);
    }

    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut succeeded = self.clock.monotonic();
        let (mut pause, mut backoff) = (Duration::ZERO, FIRST_BACKOFF);
        loop {
            let ended = tokio::select! {
                ended = self.after(pause) => ended,
                () = stop.cancelled() => return,
            };
            let now = self.clock.monotonic();
            match ended {
                Ok(()) => {
                    succeeded = now;
                    (pause, backoff) = (INTERVAL, FIRST_BACKOFF);
                }
                Err(error) => {
                    let error = error_chain(&error);
                    if backoff == FIRST_BACKOFF {
                        tracing::warn!(error, "the database's upkeep failed; it is tried again");
                    } else {
                        tracing::debug!(error, "upkeep still fails");
                    }
                    pause = backoff.mul_f64(rand::random_range(0.5..1.0));
                    backoff = (backoff * 2).min(INTERVAL);
                }
            }
            let lag = now.saturating_sub(succeeded);
            gauge!("mindweave_upkeep_lag_seconds").set(lag.as_secs_f64());
        }
    }

    async fn after(&self, pause: Duration) -> Result<(), UpkeepError> {
        tokio::time::sleep(pause).await;
        timeout(RUN_TIMEOUT, self.once())
            .await
            .unwrap_or(Err(UpkeepError::Slow))
    }

    /// One run, over a connection of its own: the lock is the session's and ends with it.
    async fn once(&self) -> Result<(), UpkeepError> {
        let client = self.database.connect(&self.tasks).await?;
        self.keep_up(&client).await?;
        // Whoever did the work.
        let query = "SELECT extract(epoch FROM usage_rollup_lag())::double precision";
        let lag: f64 = client.query_one(query, &[]).await?.try_get(0)?;
        gauge!("mindweave_usage_rollup_lag_seconds").set(lag);
        Ok(())
    }

    async fn keep_up(&self, client: &Client) -> Result<(), UpkeepError> {
        let lock = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LEADER]);
        if !lock.await?.try_get::<_, bool>(0)? {
            return Ok(()); // another gateway is at it
        }
        let made = count(client, "SELECT make_partitions_ahead()").await?;
        // In steps, each a transaction: what is done stays done, whatever ends this run.
        let mut buckets = 0;
        loop {
            match count(client, "SELECT refresh_usage_rollups()").await? {
                0 => break,
                computed => buckets += computed,
            }
        }
        let expired_keys = count(client, "SELECT expire_keys()").await?;
        let sessions = count(client, "SELECT forget_sessions()").await?;
        let forgotten = count(client, "SELECT forget_dedupe_keys()").await?;
        let sql = "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'";
        let answers = client.execute(sql, &[]).await?;
        // Last: it gives way to whoever uses the tables, and the rest shall not wait for that.
        let dropped = count(client, "SELECT drop_expired()").await?;
        if made + dropped + expired_keys > 0 {
            tracing::info!(made, dropped, expired_keys, "partitions and keys kept up");
        }
        tracing::debug!(
            buckets,
            forgotten,
            answers,
            sessions,
            "rollups are up to date"
        );
        Ok(())
    }
}

async fn count(client: &Client, query: &str) -> Result<i32, UpkeepError> {
    Ok(client.query_one(query, &[]).await?.try_get(0)?)
}
