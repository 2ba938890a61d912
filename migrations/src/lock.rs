//! One runner a database at a time.
//!
//! A session lock, since some migrations can't run in a transaction: the connection must be direct, or pooled by
//! session. It is released on every way out, a dropped future included.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio_postgres::Client;

use crate::error::Error;

/// "mindweav" in ASCII: advisory locks are a namespace shared with whoever else uses the database.
const KEY: i64 = 0x6d69_6e64_7765_6176;

/// How long to wait between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// The lock, and the connection that holds it.
#[derive(Debug)]
pub(crate) struct Lock<'c> {
    client: &'c mut Client,
    released: bool,
}

impl<'c> Lock<'c> {
    /// Waits until no one else holds the lock.
    ///
    /// By asking again and again: a statement that waits inside the server holds a snapshot there, for which the lock's
    /// holder would wait in turn if it runs `CREATE INDEX CONCURRENTLY`.
    pub(crate) async fn acquire(client: &'c mut Client) -> Result<Self, Error> {
        // Made before it is held, so that a try answered after this future was dropped is given back too.
        let lock = Self {
            client,
            released: false,
        };
        if !lock.try_once().await? {
            tracing::info!("waiting for another process that migrates this database");
            while !lock.try_once().await? {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        Ok(lock)
    }

    /// The connection, for work under the lock.
    pub(crate) fn client(&mut self) -> &mut Client {
        self.client
    }

    /// Gives the lock back and waits until that is done.
    pub(crate) async fn release(mut self) -> Result<(), Error> {
        let released = unlock(self.client).await;
        self.released = true;
        released.map_err(Error::database("release the migration lock"))
    }

    async fn try_once(&self) -> Result<bool, Error> {
        let sql = "SELECT pg_try_advisory_lock($1)";
        let row = self.client.query_one(sql, &[&KEY]).await;
        row.and_then(|row| row.try_get(0))
            .map_err(Error::database("take the migration lock"))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if !self.released {
            // The first poll queues the statement on the connection, behind the rollback of what was dropped with us.
            let mut ctx = Context::from_waker(Waker::noop());
            let _queued = pin!(unlock(self.client)).poll(&mut ctx);
        }
    }
}

async fn unlock(client: &Client) -> Result<(), tokio_postgres::Error> {
    // In the simple protocol: one message, so that it can be queued whole without waiting for an answer.
    client
        .batch_execute(&format!("SELECT pg_advisory_unlock({KEY})"))
        .await
}
