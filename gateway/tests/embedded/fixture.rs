//! A data directory with a server, and how to watch both.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use gateway::embedded::{Embedded, EmbeddedError, EmbeddedOptions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory; a server that a failed test leaves in it is stopped.
pub(crate) struct DataDir {
    pub(crate) parent: TempDir,
    name: String,
}

impl DataDir {
    pub(crate) fn new() -> Self {
        Self::in_directory("data")
    }

    pub(crate) fn in_directory(name: &str) -> Self {
        let parent = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).expect("permissions");
        Self {
            parent,
            name: name.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.parent.path().join(&self.name)
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.path().join("postgres/cluster")
    }

    pub(crate) async fn start(&self) -> Embedded {
        self.start_told().await.0
    }

    /// Starts the server and returns what was said meanwhile.
    pub(crate) async fn start_told(&self) -> (Embedded, Vec<String>) {
        let lines = Mutex::new(Vec::new());
        let progress = |line: &str| lines.lock().expect("the lines").push(line.to_owned());
        let embedded = Embedded::start(self.options(), &progress)
            .await
            .expect("a running server");
        (embedded, lines.into_inner().expect("the lines"))
    }

    pub(crate) async fn refusal(&self) -> EmbeddedError {
        Embedded::start(self.options(), &|_| ())
            .await
            .expect_err("a refusal")
    }

    pub(crate) fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions {
            data_dir: self.path(),
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if let Some(pid) = postmaster(&self.cluster()) {
            let _gone = kill_process(pid, Signal::QUIT);
        }
    }
}

pub(crate) fn postmaster(cluster: &Path) -> Option<Pid> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.parse().ok()?)
}

pub(crate) fn port(url: &str) -> u16 {
    let config: tokio_postgres::Config = url.parse().expect("a URL");
    config.get_ports()[0]
}

pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio_util::task::TaskTracker::new().spawn(connection);
    Ok(client)
}

/// Connects as soon as the server answers.
pub(crate) async fn reconnect(url: &str) -> Client {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match connect(url).await {
            Ok(client) => return client,
            Err(error) => assert!(
                Instant::now() < deadline,
                "the server did not come back: {error}"
            ),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A process that has ended but that nobody has waited for is not alive.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

pub(crate) async fn gone(pid: Pid) {
    let deadline = Instant::now() + DEADLINE;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "process {pid} does not end");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn write_a_row(client: &Client) {
    client
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
        .await
        .expect("a row");
}

pub(crate) async fn read_the_row(client: &Client) -> i32 {
    client
        .query_one("SELECT n FROM kept", &[])
        .await
        .expect("the row")
        .get(0)
}
