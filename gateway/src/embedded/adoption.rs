//! Brings the server up at the gateway's start: takes over one that outlived an earlier gateway, or starts one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::database::{self, Login};
use super::error::EmbeddedError;
use super::launcher::Launcher;
use super::log::Log;
use super::password::Password;
use super::paths::Paths;
use super::port;
use super::server::Server;

/// How long a server may take until it answers, and the leftovers of an earlier one until they are gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(25);
/// A wait that people notice is explained.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// A server that answers, and its port.
pub(super) async fn bring_up(
    launcher: &Launcher,
    paths: &Paths,
    password: &Password,
    progress: &dyn Fn(&str),
) -> Result<(Server, u16), EmbeddedError> {
    if let Some((server, port)) = adopt(launcher, password, progress).await? {
        port::keep(paths, port)?;
        return Ok((server, port));
    }
    wait_for_leftovers(launcher, progress).await?;
    let port = port::choose(paths, progress)?;
    let (mut server, log) = launcher.launch(port)?;
    ready(&mut server, &log, &Login::new(port, password)).await?;
    Ok((server, port))
}

/// Takes a running server over once it answers; one that is just shutting down is waited for, and none.
async fn adopt(
    launcher: &Launcher,
    password: &Password,
    progress: &dyn Fn(&str),
) -> Result<Option<(Server, u16)>, EmbeddedError> {
    let Some(postmaster) = launcher.running() else {
        return Ok(None);
    };
    let port = postmaster.port();
    let mut server = Server::adopted(&postmaster);
    let pid = server.pid_number();
    let (log, login) = (Log::of_running(launcher.log()), Login::new(port, password));
    match ready(&mut server, &log, &login).await {
        Ok(()) => {
            progress(&format!(
                "taking over the database server that is still running (pid {pid}, port {port})"
            ));
            Ok(Some((server, port)))
        }
        Err(EmbeddedError::Exited { .. }) => Ok(None),
        Err(error) => {
            // It was running before and may be deep in recovery: a signal would set it back.
            server.leave();
            Err(error)
        }
    }
}

async fn wait_for_leftovers(
    launcher: &Launcher,
    progress: &dyn Fn(&str),
) -> Result<(), EmbeddedError> {
    if launcher.vacated(NOTICEABLE).await.is_ok() {
        return Ok(());
    }
    progress("waiting for the processes of an earlier database server to end");
    launcher.vacated(PATIENCE).await
}

/// Waits until the server lets us in: it is ready then, and it is ours.
async fn ready(server: &mut Server, log: &Log, login: &Login) -> Result<(), EmbeddedError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let attempt = tokio::select! {
            how = server.ended() => return Err(exited(how, log)),
            attempt = database::ping(login) => attempt,
        };
        match attempt {
            Ok(()) => return Ok(()),
            Err(source) if database::is_wrong_password(&source) => {
                return Err(EmbeddedError::PasswordRefused {
                    port: login.port(),
                    source,
                });
            }
            Err(source) if Instant::now() >= deadline => return Err(not_ready(log, source)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn exited(how: String, log: &Log) -> EmbeddedError {
    EmbeddedError::Exited {
        how,
        log: log.path().to_owned(),
        tail: log.tail(),
    }
}

fn not_ready(log: &Log, source: tokio_postgres::Error) -> EmbeddedError {
    let seconds = PATIENCE.as_secs();
    EmbeddedError::NotReady {
        seconds,
        log: log.path().to_owned(),
        tail: log.tail(),
        source,
    }
}
