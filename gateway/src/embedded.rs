//! A PostgreSQL server of the gateway's own, for `mindweave up` without a database URL.
//!
//! [`Embedded::start`] makes a durable cluster for a data directory the first time and finds it again ever after,
//! with the same port and password; the server listens on 127.0.0.1 only. A server that dies is started again
//! until [`Embedded::stop`]; one that outlived a killed gateway is adopted. Dropping an [`Embedded`] stops the
//! server too, without waiting. One process at a time may hold a data directory.
//!
//! It uses the server binaries that are installed and downloads nothing; it does not upgrade a cluster to another
//! major version, back it up or tune it: `ALTER SYSTEM` does, and is left alone.

mod account;
mod adoption;
mod database;
mod error;
mod files;
mod initdb;
mod installation;
mod launcher;
mod leftovers;
mod location;
mod lock;
mod log;
mod password;
mod paths;
mod port;
mod postmaster;
mod procfs;
mod server;
mod settings;
mod supervisor;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::error::EmbeddedError;

use self::account::Account;
use self::database::Login;
use self::installation::Installation;
use self::launcher::Launcher;
use self::location::Location;
use self::lock::Lock;
use self::paths::Paths;
use self::supervisor::Supervisor;

/// What the embedded server needs to know.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The gateway's data directory, as an absolute path; made when missing.
    pub data_dir: PathBuf,
}

/// A running, supervised server.
pub struct Embedded {
    url: String,
    cluster: PathBuf,
    running: DropGuard,
    supervisor: JoinHandle<Result<(), EmbeddedError>>,
}

impl Embedded {
    /// Brings the server of a data directory up, making its cluster the first time, and returns when it answers.
    ///
    /// `progress` is told, in lines for people, what takes time or differs from what they may expect.
    ///
    /// # Errors
    /// Whatever keeps the server from answering, with what to do about it; nothing is left running or half made.
    pub async fn start(
        options: EmbeddedOptions,
        progress: &dyn Fn(&str),
    ) -> Result<Self, EmbeddedError> {
        let paths = Paths::prepare(&options.data_dir)?;
        let lock = Lock::take(&paths)?;
        let account = Account::of_the_server()?;
        let location = Location::find(&paths, &account, progress).await?;
        let installation = Installation::find(&location).await?;
        let password = password::of(&paths, &location)?;
        if !location.exists() {
            initdb::create(
                location.cluster(),
                &installation,
                &account,
                &password,
                progress,
            )
            .await?;
        }
        location.record(&paths)?;

        let launcher = Launcher::new(&installation, account, location.cluster(), paths.log());
        let (server, port) = adoption::bring_up(&launcher, &paths, &password, progress).await?;
        let login = Login::new(port, &password);
        database::ensure(&login)
            .await
            .map_err(|source| EmbeddedError::Database { source })?;

        let url = login.url();
        let cluster = location.into_cluster();
        let running = CancellationToken::new();
        let supervisor = Supervisor::new(server, launcher, port, lock, running.clone());
        let supervisor = TaskTracker::new().spawn(supervisor.run());
        Ok(Self {
            url,
            cluster,
            running: running.drop_guard(),
            supervisor,
        })
    }

    /// The owner's and superuser's URL in libpq's form: `postgres://mindweave:PASSWORD@127.0.0.1:PORT/mindweave`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The cluster's directory, PostgreSQL's own `data_directory`.
    #[must_use]
    pub fn cluster_dir(&self) -> &Path {
        &self.cluster
    }

    /// Shuts the server down: fast, so sessions end and nothing committed is lost; returns when it is gone.
    ///
    /// # Errors
    /// [`EmbeddedError::NotStopped`] when it is still there after an immediate shutdown was asked of it too.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        drop(self.running);
        self.supervisor
            .await
            .map_err(|source| EmbeddedError::Supervisor { source })?
    }
}

impl fmt::Debug for Embedded {
    /// Leaves the URL out: it carries the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Embedded")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
