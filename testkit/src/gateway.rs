//! The real binary, running.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{Client, PATIENCE, eventually};

/// How to start a gateway.
#[derive(Debug)]
pub struct Builder {
    binary: PathBuf,
    command: &'static str,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, String>,
    data_dir: Option<PathBuf>,
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// The content of the ready file.
    pub ready: Value,
    log: PathBuf,
    folder: TempDir,
}

impl Builder {
    /// `serve` with a database; `binary` is `env!("CARGO_BIN_EXE_mindweave")`.
    #[must_use]
    pub fn serve(binary: &str, database_url: &str) -> Self {
        Self::new(binary, "serve").env("MINDWEAVE_DATABASE_URL", database_url)
    }

    /// `serve` with nothing given: a file or more words have to say where everything is.
    #[must_use]
    pub fn bare(binary: &str) -> Self {
        Self::new(binary, "serve")
    }

    /// `up`, with an embedded database unless one is given.
    #[must_use]
    pub fn up(binary: &str) -> Self {
        Self::new(binary, "up")
    }

    fn new(binary: &str, command: &'static str) -> Self {
        Self {
            binary: binary.into(),
            command,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            data_dir: None,
        }
    }

    /// Forwards live keys there, with an upstream key that says so.
    #[must_use]
    pub fn upstream(self, url: &str) -> Self {
        self.env("MINDWEAVE_UPSTREAM_URL", url)
            .env("MINDWEAVE_UPSTREAM_API_KEY", UPSTREAM_KEY)
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a word to the command line.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.arguments.push(word.into());
        self
    }

    /// Keeps its files there, beyond its own life.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts it and waits until it takes traffic.
    pub async fn start(self) -> Gateway {
        let gateway = self.start_unready().await;
        gateway.wait_until_ready().await;
        gateway
    }

    /// Starts it and waits until it listens.
    pub async fn start_unready(self) -> Gateway {
        let folder = tempfile::Builder::new()
            .prefix("mindweave")
            .tempdir()
            .unwrap();
        let ready_file = folder.path().join("ready.json");
        let log = folder.path().join("log");
        let mut command = Command::new(&self.binary);
        command
            .arg(self.command)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--metrics-listen", "127.0.0.1:0"])
            .arg("--ready-file")
            .arg(&ready_file)
            .arg("--data-dir")
            .arg(self.data_dir.unwrap_or_else(|| folder.path().join("data")))
            .args(&self.arguments)
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("DATABASE_URL")
            .env("MINDWEAVE_LOG_LEVEL", "debug")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.path().join("out")).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let ready = eventually("the gateway listens", || {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the gateway ended: {}",
                fs::read_to_string(&log).unwrap()
            );
            let text = fs::read(&ready_file);
            async { text.ok().map(|text| serde_json::from_slice(&text).unwrap()) }
        })
        .await;
        Gateway {
            child,
            ready,
            log,
            folder,
        }
    }
}

/// How much of a gateway's log a failed test shows.
const LOG_LINES_SHOWN: usize = 200;

/// What the gateway is known by upstream, in tests.
pub const UPSTREAM_KEY: &str = "sk-ant-api03-upstream-secret";

impl Gateway {
    /// A text of the ready file.
    #[must_use]
    pub fn ready_text(&self, field: &str) -> &str {
        self.ready[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {}", self.ready))
    }

    /// A client with a key.
    #[must_use]
    pub fn client(&self, api_key: &str) -> Client {
        Client::new(self.ready_text("proxy_url"), api_key)
    }

    /// A client of the metrics listener.
    #[must_use]
    pub fn operator(&self) -> Client {
        Client::new(self.ready_text("metrics_url"), "")
    }

    /// Waits for `/readyz` to say yes.
    pub async fn wait_until_ready(&self) {
        let operator = self.operator();
        eventually("the gateway is ready", || async {
            (operator.get("/readyz").await.status == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// The value of a metric, labels and all as they are written; the sum over all labels without.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.operator().get("/metrics").await.body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                *series == name
                    || series
                        .strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with('{'))
            })
            .map(|(_, value)| value.parse::<f64>().unwrap())
            .sum()
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// All that it has said on standard output.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap()
    }

    /// Where it wrote its ready file.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = self.child.id().expect("the gateway runs");
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        kill_process(self.pid(), Signal::INT).unwrap();
    }

    /// Halts it, so that what happens meanwhile reaches it all at once.
    pub async fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let stat = format!("/proc/{}/stat", self.pid());
        eventually("the gateway halts", || async {
            let stat = fs::read_to_string(&stat).unwrap();
            // The state follows the name, which stands in parentheses.
            stat.contains(") T ").then_some(())
        })
        .await;
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(2 * PATIENCE, self.child.wait())
            .await
            .expect("the gateway ends")
            .unwrap()
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// Kills it, as a crash would, and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Of a test that fails, the reader wants to know what the gateway said.
#[expect(clippy::print_stderr, reason = "the test runner shows it")]
impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let older = lines.len().saturating_sub(LOG_LINES_SHOWN);
            let newest = lines.get(older..).unwrap_or_default().join("\n");
            eprintln!("the end of the gateway's log:\n{newest}");
        }
    }
}
