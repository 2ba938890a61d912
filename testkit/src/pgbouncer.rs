//! `PgBouncer`, the pooler, in front of a test's database.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Stdio;
use std::{env, fs};

use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::postgres::{ServerAddress, unprivileged};
use crate::{Database, eventually};

/// Runs until dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Child,
    dir: TempDir,
    database: String,
}

impl PgBouncer {
    /// Starts it with a pool mode and at most so many connections to the server.
    pub async fn start(database: &Database, pool_mode: &str, pool_size: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("pgb").tempdir().unwrap();
        let path = dir.path().display();
        let name = database.name();
        let (host, port) = match database.address() {
            ServerAddress::Unix(socket) => {
                let (dir, file) = (socket.parent().unwrap(), socket.file_name().unwrap());
                let port = file.to_str().unwrap().rsplit('.').next().unwrap();
                (dir.to_str().unwrap().to_owned(), port.to_owned())
            }
            ServerAddress::Tcp(address) => {
                let (host, port) = address.rsplit_once(':').unwrap();
                (host.to_owned(), port.to_owned())
            }
        };
        let (user, password) = database.credentials();
        let password = password.map_or_else(String::new, |word| format!("password={word}"));
        let settings = format!(
            "[databases]\n\
             {name} = host={host} port={port} user={user} {password}\n\
             [pgbouncer]\n\
             listen_port = 6432\n\
             unix_socket_dir = {path}\n\
             auth_type = any\n\
             pool_mode = {pool_mode}\n\
             default_pool_size = {pool_size}\n\
             reserve_pool_size = 0\n"
        );
        let file = dir.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(program());
        command
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap())
            .kill_on_drop(true);
        if let Some((uid, gid)) = unprivileged() {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
            chown(&file, Some(uid), Some(gid)).unwrap();
            command.uid(uid).gid(gid);
        }
        let mut process = command.spawn().unwrap();
        eventually("PgBouncer listens", || {
            let ended = process.try_wait().unwrap();
            let log = fs::read_to_string(dir.path().join("log")).unwrap();
            assert!(ended.is_none(), "PgBouncer ended: {log}");
            // The socket is there a moment before anybody listens at it.
            let socket = dir.path().join(".s.PGSQL.6432");
            async move { UnixStream::connect(socket).await.ok() }
        })
        .await;
        Self {
            _process: process,
            dir,
            database: name.to_owned(),
        }
    }

    /// How to connect through it, in libpq's form.
    #[must_use]
    pub fn url(&self) -> String {
        let host = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{host}:6432/{}", self.database)
    }
}

/// Debian has it where only root's PATH leads.
fn program() -> PathBuf {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths)
        .chain(["/usr/sbin".into()])
        .map(|dir| dir.join("pgbouncer"))
        .find(|path| path.exists())
        .expect("PgBouncer is installed")
}
