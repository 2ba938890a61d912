//! A replica that reads may go to.
//!
//! It lags. So that nobody misses what they have just changed, the place in the write-ahead log is kept at which the last change
//! made through here was done, and a replica that isn't there yet isn't asked: the primary is. One that is away isn't asked
//! either, for some seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

use super::{CONNECTIONS, Connect, ConnectError, Manager, Pooled, told};

/// So long a reader waits for a connection before it goes to the primary.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long nobody tries after that.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Replica {
    pool: bb8::Pool<Manager>,
    /// Where the log was when the last change was done.
    changed_at: AtomicU64,
    away_until: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        let building = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .connection_timeout(PATIENCE)
            .retry_connection(false)
            .test_on_check_out(true);
        Self {
            pool: building.build_unchecked(Manager(connect)),
            changed_at: AtomicU64::new(0),
            away_until: Mutex::new(None),
        }
    }

    /// A connection, if there is one that sees all changes.
    pub(super) async fn get(&self) -> Option<Pooled> {
        if self.is_away() {
            return None;
        }
        match self.try_get().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(
                    error = domain::error_chain(&error),
                    "the replica can't be read from: the primary is, for {} s",
                    PAUSE.as_secs()
                );
                self.leave_alone();
                None
            }
        }
    }

    async fn try_get(&self) -> Result<Option<Pooled>, ConnectError> {
        let connection = self.pool.get_owned().await.map_err(told)?;
        let changed_at = PgLsn::from(self.changed_at.load(Ordering::Acquire));
        let sql = "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() >= $1, false)";
        let row = connection.client.query_one(sql, &[&changed_at]).await?;
        // One that was promoted goes its own way.
        if !row.try_get::<_, bool>(0)? {
            return Err(ConnectError::NoReplica);
        }
        let is_there: bool = row.try_get(1)?;
        Ok(is_there.then_some(connection))
    }

    /// What was committed over this connection is to be seen by whoever reads from now on.
    pub(super) async fn expect_change(&self, primary: &Client) {
        let found = primary
            .query_one("SELECT pg_current_wal_insert_lsn()", &[])
            .await;
        match found.and_then(|row| row.try_get::<_, PgLsn>(0)) {
            Ok(place) => {
                self.changed_at.fetch_max(place.into(), Ordering::AcqRel);
            }
            // It may take some time to arrive there; how much, nobody knows.
            Err(_) => self.leave_alone(),
        }
    }

    fn is_away(&self) -> bool {
        let until = *self
            .away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn leave_alone(&self) {
        let mut until = self
            .away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + PAUSE);
    }
}
