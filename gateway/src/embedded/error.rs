//! Why an embedded server can't be started or stopped. Each says what was wrong and what to do; causes are in `source()`.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use thiserror::Error;

/// What kept the embedded server from running or from stopping.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A file or directory that the embedded server needs could not be used.
    #[error("cannot {action} {}; check its owner, its permissions and the free space", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No server binaries are installed.
    #[error(
        "no PostgreSQL server is installed (asked pg_config, looked in /usr/lib/postgresql/*/bin and on PATH): \
         run `apt-get install postgresql`, or give --database-url"
    )]
    NotInstalled,
    /// Server binaries are installed, but not of the major version that made the cluster.
    #[error(
        "the cluster in {} was made by PostgreSQL {wanted}, but only {found} is installed: \
         run `apt-get install postgresql-{wanted}`, or move the data over with pg_upgrade", cluster.display()
    )]
    WrongVersion {
        /// The cluster.
        cluster: PathBuf,
        /// The cluster's major version.
        wanted: u32,
        /// The major versions at hand, separated by commas.
        found: String,
    },
    /// PostgreSQL refuses to run as root, and there is no other user to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody`: \
         run `useradd --system postgres`, or start the gateway as another user"
    )]
    NoAccount,
    /// Another process holds the data directory.
    #[error("the data directory {} is in use by {holder}: stop it, or choose another --data-dir", data_dir.display())]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// "process PID", or "another process" while it is only just starting.
        holder: String,
    },
    /// The user that the server runs as can't work in a directory.
    #[error(
        "user {user}, which PostgreSQL runs as, cannot work in {}: \
         let it search every directory above (chmod o+x), or choose another --data-dir", directory.display()
    )]
    Unreachable {
        /// Where the cluster is or should be.
        directory: PathBuf,
        /// The user's name.
        user: String,
    },
    /// The cluster that the data directory points at is gone.
    #[error(
        "the cluster of this data directory should be in {}, but is not: restore it, \
         or remove {} to begin with an empty database", cluster.display(), pointer.display()
    )]
    ClusterMissing {
        /// Where it should be.
        cluster: PathBuf,
        /// The file that says so.
        pointer: PathBuf,
    },
    /// The cluster is there, the password to it isn't.
    #[error(
        "the cluster's password file {} is missing: restore it, or move {} away to begin with an empty database",
        password.display(), cluster.display()
    )]
    PasswordMissing {
        /// Where it should be.
        password: PathBuf,
        /// The cluster that it opens.
        cluster: PathBuf,
    },
    /// The server is up, but doesn't take our password.
    #[error(
        "the server on port {port} refuses the password in the data directory: restore the password file"
    )]
    PasswordRefused {
        /// The server's port.
        port: u16,
        /// What the server said.
        source: tokio_postgres::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a password")]
    Random {
        /// What it said.
        source: rand::rand_core::OsError,
    },
    /// `initdb` failed; nothing of its work is left.
    #[error("initdb failed ({status}): {output}")]
    Initdb {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// The server ended before it answered.
    #[error("PostgreSQL ended before it was ready ({how}); the end of {}:\n{tail}", log.display())]
    Exited {
        /// How it ended.
        how: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines since this start.
        tail: String,
    },
    /// The server runs but didn't answer in time.
    #[error("PostgreSQL did not answer within {seconds} s; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The log file.
        log: PathBuf,
        /// Its last lines since this start.
        tail: String,
        /// What the last attempt to connect said.
        source: tokio_postgres::Error,
    },
    /// Processes of an earlier server still hold the cluster.
    #[error("processes of an earlier server still use {} (pids {pids}): end them, then start again", cluster.display())]
    Occupied {
        /// The cluster.
        cluster: PathBuf,
        /// Their ids, separated by commas.
        pids: String,
    },
    /// The database `mindweave` could not be made.
    #[error("the server is up, but the database `mindweave` could not be made in it")]
    Database {
        /// What the server said.
        source: tokio_postgres::Error,
    },
    /// The server is still there after an immediate shutdown.
    #[error("PostgreSQL (pid {pid}) does not stop: look at its log, end it by hand if need be")]
    NotStopped {
        /// Its process id.
        pid: u32,
    },
    /// The task that watches over the server came to an unforeseen end.
    #[error("the task that supervises PostgreSQL failed")]
    Supervisor {
        /// How.
        source: tokio::task::JoinError,
    },
}

impl EmbeddedError {
    /// For `map_err` on what touches a path.
    pub(super) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
