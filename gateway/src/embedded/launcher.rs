//! Starts `postgres` on a cluster, once nothing of an earlier server is in the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::error::EmbeddedError;
use super::installation::Installation;
use super::leftovers;
use super::log::Log;
use super::postmaster::Postmaster;
use super::server::Server;
use super::settings;

/// How often leftovers of an earlier server are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Everything but the port that a server needs to start.
#[derive(Debug)]
pub(super) struct Launcher {
    postgres: PathBuf,
    account: Account,
    cluster: PathBuf,
    log: PathBuf,
}

impl Launcher {
    pub(super) fn new(
        installation: &Installation,
        account: Account,
        cluster: &Path,
        log: PathBuf,
    ) -> Self {
        Self {
            postgres: installation.postgres(),
            account,
            cluster: cluster.to_owned(),
            log,
        }
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The cluster's postmaster, if one is alive.
    pub(super) fn running(&self) -> Option<Postmaster> {
        Postmaster::of(&self.cluster)
    }

    /// Waits until the processes of an earlier server are gone: while one lives, PostgreSQL refuses
    /// to start. They notice their postmaster's death by themselves, mostly at once; they are not
    /// ours to signal.
    pub(super) async fn vacated(&self, patience: Duration) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + patience;
        loop {
            let left = leftovers::processes(&self.cluster);
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.occupied(&left));
            }
            sleep(LOOK).await;
        }
    }

    fn occupied(&self, left: &[Pid]) -> EmbeddedError {
        let pids: Vec<String> = left.iter().map(ToString::to_string).collect();
        EmbeddedError::Occupied {
            cluster: self.cluster.clone(),
            pids: pids.join(", "),
        }
    }

    /// Starts a server, out of reach of the signals that a terminal sends to the gateway's process group.
    pub(super) fn launch(&self, port: u16) -> Result<(Server, Log), EmbeddedError> {
        leftovers::clear_lock_files(&self.cluster)
            .map_err(EmbeddedError::io("tidy up", &self.cluster))?;
        settings::write_defaults(&self.cluster)
            .map_err(EmbeddedError::io("write settings in", &self.cluster))?;
        let (log, stdout) = Log::open(&self.log).map_err(EmbeddedError::io("open", &self.log))?;
        let stderr = stdout
            .try_clone()
            .map_err(EmbeddedError::io("open", &self.log))?;
        let mut command = self.account.command(&self.postgres);
        command
            .args(settings::arguments(&self.cluster, port))
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(EmbeddedError::io("run", &self.postgres))?;
        Ok((Server::started(child), log))
    }
}
