//! Databases for tests: a fresh, empty one each, on a real server.
//!
//! On the server that `TEST_DATABASE_URL` names, else on one that is started for the test and stopped after it.

mod listener;
mod server;

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr as _;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

pub use listener::Listener;
pub use server::{Server, bin_dir, unprivileged};

use crate::spawn;

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum ServerAddress {
    /// By a socket in a folder.
    Unix(PathBuf),
    /// By host and port.
    Tcp(String),
}

/// A database of the test's own, dropped with it.
#[derive(Debug)]
pub struct Database {
    config: Config,
    maintenance: Config,
    /// Stopped after the database is dropped.
    server: Option<Server>,
}

impl Database {
    /// An empty database.
    #[must_use]
    pub fn create() -> Self {
        match std::env::var_os("TEST_DATABASE_URL") {
            Some(url) => Self::create_on(Config::from_str(url.to_str().unwrap()).unwrap(), None),
            None => Self::on_its_own_server(),
        }
    }

    fn create_on(maintenance: Config, server: Option<Server>) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        run(tool("createdb", &maintenance).arg(&name));
        let mut config = maintenance.clone();
        config.dbname(&name);
        Self {
            config,
            maintenance,
            server,
        }
    }

    /// A database with the schema of the gateway.
    pub async fn migrated() -> Self {
        let database = Self::create();
        migrations::up(&mut database.connect().await).await.unwrap();
        database
    }

    /// How to connect, in libpq's form.
    #[must_use]
    pub fn url(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(dir)) => dir.to_str().unwrap().replace('/', "%2F"),
            None => "localhost".to_owned(),
        };
        self.url_at(&format!("{host}:{}", self.port()))
    }

    /// The same by way of somebody else, as a [`Link`](crate::Link).
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        let (user, password) = self.credentials();
        let password = password.map_or_else(String::new, |password| format!(":{password}"));
        format!("postgres://{user}{password}@{address}/{}", self.name())
    }

    /// What it is called on its server.
    #[must_use]
    pub fn name(&self) -> &str {
        self.config.get_dbname().unwrap()
    }

    /// User and password.
    pub(crate) fn credentials(&self) -> (&str, Option<Cow<'_, str>>) {
        let user = self.config.get_user().unwrap_or("postgres");
        let password = self.config.get_password();
        (user, password.map(String::from_utf8_lossy))
    }

    fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> ServerAddress {
        match self.config.get_hosts().first() {
            Some(Host::Unix(dir)) => {
                ServerAddress::Unix(dir.join(format!(".s.PGSQL.{}", self.port())))
            }
            Some(Host::Tcp(name)) => ServerAddress::Tcp(format!("{name}:{}", self.port())),
            None => ServerAddress::Tcp(format!("localhost:{}", self.port())),
        }
    }

    /// The server's process, where it is the test's own.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// A database on a server that nobody else uses, so that it may be stopped.
    #[must_use]
    pub fn on_its_own_server() -> Self {
        let server = Server::start();
        Self::create_on(server.config(), Some(server))
    }

    /// What `psql` answers to a command, which may be one of its own.
    #[must_use]
    pub fn psql(&self, command: &str) -> String {
        self.psql_with(command, Stdio::null())
    }

    /// The same for a command that reads `pstdin`.
    #[must_use]
    pub fn psql_with(&self, command: &str, input: impl Into<Stdio>) -> String {
        let quiet = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
        run(tool("psql", &self.config)
            .args(quiet)
            .args(["--command", command])
            .stdin(input))
    }

    /// A connection.
    pub async fn connect(&self) -> Client {
        let (client, connection) = self.config.connect(NoTls).await.unwrap();
        spawn(async move {
            // A broken connection shows in the client's answers.
            drop(connection.await);
        });
        client
    }

    /// Listens to a channel.
    pub async fn listen(&self, channel: &str) -> Listener {
        Listener::start(&self.config, channel).await
    }

    /// The schema as SQL, without what TimescaleDB makes for itself, whose names it numbers.
    #[must_use]
    pub fn dump(&self) -> String {
        let internal = "--exclude-schema=_timescaledb_internal";
        let dump =
            run(tool("pg_dump", &self.config).args(["--schema-only", "--no-owner", internal]));
        // Since 2025 every dump is framed by a random token.
        let lines = dump.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of its own goes as a whole, and may be down.
        if self.server.is_none() {
            run(tool("dropdb", &self.maintenance).args(["--force", self.name()]));
        }
    }
}

/// A client program of PostgreSQL's, told where to connect: of the folder that `TEST_POSTGRES_BIN` names, since
/// `pg_dump` refuses a server newer than itself, else as installed.
fn tool(program: &str, config: &Config) -> Command {
    let programs = std::env::var_os("TEST_POSTGRES_BIN").map_or_else(bin_dir, PathBuf::from);
    let mut command = Command::new(programs.join(program));
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.into(),
        Some(Host::Unix(dir)) => dir.clone().into_os_string(),
        None => "localhost".into(),
    };
    command.env("PGHOST", host);
    if let Some(port) = config.get_ports().first() {
        command.env("PGPORT", port.to_string());
    }
    if let Some(user) = config.get_user() {
        command.env("PGUSER", user);
    }
    if let Some(password) = config.get_password() {
        command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
    }
    command.env("PGDATABASE", config.get_dbname().unwrap_or("postgres"));
    command
}

/// Runs a program to its end and answers what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}
