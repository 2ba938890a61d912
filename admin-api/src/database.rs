//! Connections to the database: a few, given out by turns.

mod replica;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use uuid::Uuid;

use self::replica::Replica;
use crate::places::{Place, Places};

/// At most so many at a time; the data plane's own are beside them.
const CONNECTIONS: u32 = 8;
/// So long a request waits for one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nobody waits longer for a statement, and what was given up holds no locks.
const SESSION: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'; \
    SET idle_in_transaction_session_timeout = '15s'; SET timezone = 'UTC'";

/// Makes connections.
pub trait Connect: std::fmt::Debug + Send + Sync + 'static {
    /// Makes one.
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Client, ConnectError>> + Send + '_>>;
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// None can be made.
    #[error("can't connect")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was lost.
    #[error("the connection was lost")]
    Lost(#[from] tokio_postgres::Error),
    /// It was closed while nobody used it.
    #[error("the connection was closed")]
    Closed,
    /// It isn't one of a replica.
    #[error("the server is no replica, or not any more")]
    NoReplica,
    /// All are in use, or none was made in time.
    #[error("no connection within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// The pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    primary: bb8::Pool<Manager>,
    replica: Option<Arc<Replica>>,
    large_reads: Places,
}

/// A connection of the pool, until it is dropped.
pub(crate) type Pooled = bb8::PooledConnection<'static, Manager>;

#[derive(Debug)]
pub(crate) struct Manager(Arc<dyn Connect>);

/// A connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// A transaction is open: whoever left it so must not hand it on.
    pub(crate) open: AtomicBool,
}

impl Pool {
    pub(crate) fn new(connect: Arc<dyn Connect>) -> Self {
        let building = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .connection_timeout(PATIENCE)
            // One that was closed meanwhile is known to be: see is_valid.
            .test_on_check_out(true);
        Self {
            primary: building.build_unchecked(Manager(connect)),
            replica: None,
            large_reads: Places::three_each(),
        }
    }

    /// What only reads may go there.
    pub(crate) fn with_replica(mut self, connect: Arc<dyn Connect>) -> Self {
        self.replica = Some(Arc::new(Replica::new(connect)));
        self
    }

    /// A place for what reads much, of an organization or of the whole installation; none if none is free in time.
    pub(crate) async fn place_to_read(&self, org_id: Option<Uuid>) -> Option<Place> {
        let whose = org_id.unwrap_or_default();
        self.large_reads.take_within(whose, PATIENCE).await
    }

    pub(crate) async fn get(&self) -> Result<Pooled, ConnectError> {
        self.primary.get_owned().await.map_err(told)
    }

    /// One to read with: the replica's, if it is there and has every change that was made through here.
    pub(crate) async fn get_to_read(&self) -> Result<Pooled, ConnectError> {
        if let Some(replica) = &self.replica
            && let Some(connection) = replica.get().await
        {
            return Ok(connection);
        }
        self.get().await
    }

    /// A change was made over this connection.
    pub(crate) async fn changed(&self, connection: &Pooled) {
        if let Some(replica) = &self.replica {
            replica.expect_change(&connection.client).await;
        }
    }
}

fn told(error: bb8::RunError<ConnectError>) -> ConnectError {
    match error {
        bb8::RunError::User(error) => error,
        bb8::RunError::TimedOut => ConnectError::Timeout,
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = ConnectError;

    async fn connect(&self) -> Result<Connection, ConnectError> {
        let client = self.0.connect().await?;
        client.batch_execute(SESSION).await?;
        Ok(Connection {
            client,
            open: AtomicBool::new(false),
        })
    }

    /// Without asking the server: its own task has noticed the end of a connection.
    async fn is_valid(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        if self.has_broken(connection) {
            return Err(ConnectError::Closed);
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.client.is_closed() || connection.open.load(Ordering::Relaxed)
    }
}
