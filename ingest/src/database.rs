//! Dedicated connections to the database.

mod sessions;

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;

/// A connection string doesn't parse, or a connection can't be made.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is wrong.
    #[error("the database URL is not understood")]
    Url(#[source] tokio_postgres::Error),
    /// The server can't be reached, or refused.
    #[error("can't connect to the database")]
    Connect(#[source] tokio_postgres::Error),
    /// A pooler hands sessions around.
    #[error(
        "the database is reached through a pooler that gives out sessions by transaction or statement, where locks and \
         notifications don't work; connect directly, or let it pool by session"
    )]
    NoSession,
    /// A second connection hangs.
    #[error(
        "a second connection to the database got no answer within {} s; a pooler in between may have too few connections",
        sessions::ANSWER_TIMEOUT.as_secs()
    )]
    NoSecondConnection,
    /// What finds a pooler out failed.
    #[error("can't find out whether connections have sessions of their own")]
    Session(#[source] tokio_postgres::Error),
}

/// The driver's default, and so what a string says that says nothing.
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// Where the database is, and how to get in.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
    /// Whether connections were seen to have sessions of their own.
    verified: Arc<AtomicBool>,
    /// One looks at a time: another's sessions in a pool would pass for its own.
    verifying: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("hosts", &self.config.get_hosts())
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Reads a URL or key-value string in libpq's form. A dead peer is noticed within half a minute,
    /// unless the string says otherwise.
    ///
    /// # Errors
    /// If the string is not understood.
    pub fn new(url: &str, tls: rustls::ClientConfig) -> Result<Self, DatabaseError> {
        let mut config = Config::from_str(url).map_err(DatabaseError::Url)?;
        if config.get_application_name().is_none() {
            config.application_name("mindweave");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_keepalives_idle() == TWO_HOURS {
            config.keepalives_idle(Duration::from_secs(10));
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(Duration::from_secs(5));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls),
            verified: Arc::default(),
            verifying: Arc::default(),
        })
    }

    /// The parsed connection string.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Connects; the connection's own task runs on `tasks` and ends with the client. The first connection made
    /// is verified to have a session of its own.
    ///
    /// # Errors
    /// If the server can't be reached or refuses, or sessions are pooled by transaction.
    pub async fn connect(&self, tasks: &TaskTracker) -> Result<Client, DatabaseError> {
        let (client, connection) = self
            .config
            .connect(self.tls.clone())
            .await
            .map_err(DatabaseError::Connect)?;
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "database connection ended");
            }
        });
        // Relaxed: whoever reads an old value verifies once more.
        if !self.verified.load(Ordering::Relaxed) {
            self.verify(&client).await?;
        }
        Ok(client)
    }

    /// Connects for LISTEN: every notification and notice goes to `on_message`, and the returned
    /// future ends when the connection does. Always verified to have a session of its own, since without one notifications
    /// just don't arrive.
    ///
    /// # Errors
    /// If the server can't be reached or refuses, or sessions are pooled by transaction.
    pub async fn connect_listening<F>(
        &self,
        mut on_message: F,
    ) -> Result<
        (
            Client,
            impl Future<Output = Result<(), tokio_postgres::Error>> + Send + use<F>,
        ),
        DatabaseError,
    >
    where
        F: FnMut(AsyncMessage) + Send + 'static,
    {
        let (client, mut connection) = self
            .config
            .connect(self.tls.clone())
            .await
            .map_err(DatabaseError::Connect)?;
        let mut driver = Box::pin(async move {
            while let Some(message) = std::future::poll_fn(|ctx| connection.poll_message(ctx)).await
            {
                on_message(message?);
            }
            Ok(())
        });
        tokio::select! {
            biased;
            verified = self.verify(&client) => verified?,
            Err(error) = &mut driver => return Err(DatabaseError::Session(error)),
        }
        Ok((client, driver))
    }

    async fn verify(&self, client: &Client) -> Result<(), DatabaseError> {
        let _alone = self.verifying.lock().await;
        let verified = sessions::verify(client, &self.config, self.tls.clone()).await;
        self.verified.store(verified.is_ok(), Ordering::Relaxed);
        verified
    }
}
