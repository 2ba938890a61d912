//! A PostgreSQL server in a folder of its own, reachable by a Unix socket there and by nothing else.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, thread};

use tempfile::TempDir;
use tokio_postgres::Config;

use super::run;

/// Runs until dropped.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if let Some((uid, gid)) = unprivileged() {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let server = Self { dir };
        run(server
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C"]));
        server.start_again();
        server
    }

    /// Starts it on the data it has.
    pub fn start_again(&self) {
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=200",
            self.dir.path().display()
        );
        run(self
            .program("pg_ctl")
            .args(["start", "--wait", "--silent", "--options", &options])
            .arg("--log")
            .arg(self.dir.path().join("log")));
    }

    /// Ends it as a crash would: nothing is flushed, sessions are cut.
    pub fn crash(&self) {
        run(self
            .program("pg_ctl")
            .args(["stop", "--wait", "--silent", "--mode=immediate"]));
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.dir.path())
            .user("postgres")
            .dbname("postgres");
        config
    }

    /// A server program, as a user it accepts, on our data.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(bin_dir().join(name));
        command
            .current_dir(self.dir.path())
            .arg("--pgdata")
            .arg(self.dir.path().join("data"));
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the process that the data folder's pid file names; there is none after a crash.
        if self.dir.path().join("data/postmaster.pid").exists() {
            let stopped = self
                .program("pg_ctl")
                .args(["stop", "--wait", "--silent", "--mode=immediate"])
                .status();
            assert!(thread::panicking() || stopped.unwrap().success());
        }
    }
}

/// Where the server's programs are: the newest installed version's.
#[must_use]
pub fn bin_dir() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut dirs: Vec<_> = installed
        .map(|version| version.unwrap().path().join("bin"))
        .collect();
    dirs.sort();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(String::from_utf8(output.stdout).unwrap().trim_end().into());
    }
    let complete = |dir: &PathBuf| dir.join("initdb").exists();
    dirs.into_iter()
        .rfind(complete)
        .expect("PostgreSQL's server programs are installed")
}

/// Whom to run as where we are root, which PostgreSQL refuses.
#[must_use]
pub fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let entry = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = entry.split(':').skip(2).map(|id| id.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    Some(
        ids("postgres")
            .or_else(|| ids("nobody"))
            .expect("a user to run as"),
    )
}
