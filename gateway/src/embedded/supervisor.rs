//! Keeps the server alive until it is told to stop: whatever ends it, it is started again on the same port, for ever.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::error::EmbeddedError;
use super::launcher::Launcher;
use super::lock::Lock;
use super::server::Server;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that lived this long was healthy: the next restart is prompt again.
const HEALTHY: Duration = Duration::from_secs(10);

/// Owns the server and, through the lock, the data directory.
#[derive(Debug)]
pub(super) struct Supervisor {
    server: Server,
    launcher: Launcher,
    port: u16,
    stop: CancellationToken,
    /// Let go of last, when the server is gone.
    _lock: Lock,
}

impl Supervisor {
    pub(super) fn new(
        server: Server,
        launcher: Launcher,
        port: u16,
        lock: Lock,
        stop: CancellationToken,
    ) -> Self {
        Self {
            server,
            launcher,
            port,
            stop,
            _lock: lock,
        }
    }

    /// Runs until the token is cancelled, then shuts the server down.
    pub(super) async fn run(mut self) -> Result<(), EmbeddedError> {
        let stop = self.stop.clone();
        let mut pause = FIRST_PAUSE;
        while let Some(lived) = stop.run_until_cancelled(self.end_of_life()).await {
            if lived >= HEALTHY {
                pause = FIRST_PAUSE;
            }
            match stop.run_until_cancelled(self.revive(pause)).await {
                Some(server) => self.server = server,
                None => break,
            }
            pause = longer(pause);
        }
        self.server.stop().await
    }

    /// How long the server lived from now on.
    async fn end_of_life(&mut self) -> Duration {
        let pid = self.server.pid_number();
        let born = Instant::now();
        let how = self.server.ended().await;
        tracing::warn!(pid, %how, "the embedded PostgreSQL ended unasked");
        born.elapsed()
    }

    /// The next life, on the same port; it comes last, so that dropping the future leaves no server behind.
    async fn revive(&self, mut pause: Duration) -> Server {
        loop {
            sleep(pause).await;
            match self.next_life().await {
                Ok(server) => {
                    tracing::info!(
                        pid = server.pid_number(),
                        port = self.port,
                        "the embedded PostgreSQL is started again"
                    );
                    return server;
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "PostgreSQL cannot be started"
                ),
            }
            pause = longer(pause);
        }
    }

    /// Somebody else may have started the server meanwhile: that one is as good.
    async fn next_life(&self) -> Result<Server, EmbeddedError> {
        let running = self.launcher.running();
        if let Some(postmaster) = running.filter(|found| found.port() == self.port) {
            return Ok(Server::adopted(&postmaster));
        }
        self.launcher.vacated(LONGEST_PAUSE).await?;
        self.launcher.launch(self.port).map(|(server, _)| server)
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}
