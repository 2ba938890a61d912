//! One life of the server, started by this process or found running. It ends with a [`Server`] that is dropped, as
//! far as a signal does that, unless [`Server::leave`] lets go of it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::error::EmbeddedError;
use super::postmaster::Postmaster;
use super::procfs::Process;

/// How long a fast shutdown, and then an immediate one, may take.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How often a process that isn't our child is looked at: nothing tells of its end.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Server {
    process: Option<Life>,
}

#[derive(Debug)]
enum Life {
    Child(Child),
    Adopted(Process),
}

impl Server {
    pub(super) fn started(child: Child) -> Self {
        Self {
            process: Some(Life::Child(child)),
        }
    }

    pub(super) fn adopted(postmaster: &Postmaster) -> Self {
        Self {
            process: Some(Life::Adopted(postmaster.process())),
        }
    }

    /// The process id, while it lives.
    pub(super) fn pid(&self) -> Option<Pid> {
        match self.process.as_ref()? {
            Life::Child(child) => Pid::from_raw(i32::try_from(child.id()?).ok()?),
            Life::Adopted(process) => process.is_alive().then(|| process.pid()),
        }
    }

    /// The process id for messages.
    pub(super) fn pid_number(&self) -> u32 {
        self.pid()
            .map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Waits for the process's end and says how it came about. Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) -> String {
        match self.process.as_mut() {
            None => "it was let go".to_owned(),
            Some(Life::Child(child)) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Some(Life::Adopted(process)) => {
                while process.is_alive() {
                    sleep(LOOK).await;
                }
                "it was not this process's child, so its status is unknown".to_owned()
            }
        }
    }

    /// Shuts the server down, fast, and where that takes too long, immediately; returns when it is gone.
    pub(super) async fn stop(mut self) -> Result<(), EmbeddedError> {
        for signal in [Signal::INT, Signal::QUIT] {
            self.signal(signal);
            if timeout(SHUTDOWN, self.ended()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(
                pid = self.pid_number(),
                ?signal,
                "PostgreSQL takes long to shut down"
            );
        }
        let pid = self.pid_number();
        self.leave();
        Err(EmbeddedError::NotStopped { pid })
    }

    /// Lets the server run on.
    pub(super) fn leave(mut self) {
        self.process = None;
    }

    /// Signals the process unless it is gone. A child's id can't pass on before it is waited for; of an adopted
    /// process the start time has just been compared.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid()
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(%pid, ?signal, %error, "PostgreSQL could not be signalled");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}
