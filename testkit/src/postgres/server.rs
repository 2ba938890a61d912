//! A PostgreSQL server in a folder of its own, reachable by a Unix socket there and by nothing else.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::Config;

use super::{ServerAddress, run};
use crate::{Link, PATIENCE};

/// Runs until dropped.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
}

impl Server {
    fn without_data() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if let Some((uid, gid)) = unprivileged() {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn start() -> Self {
        let server = Self::without_data();
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

    /// Ends each of its processes as `kill -9` does.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let postmaster: i32 = file.lines().next().unwrap().parse().unwrap();
        // Halted it starts no more of them, and whose they are stays known.
        signal(postmaster, Signal::STOP);
        let mut family = children(postmaster);
        family.push(postmaster);
        family.iter().for_each(|pid| signal(*pid, Signal::KILL));
        family.into_iter().for_each(wait_for_the_end);
        // The next process may get the id that they name.
        fs::remove_file(self.data().join("postmaster.pid")).unwrap();
        fs::remove_file(self.dir.path().join(".s.PGSQL.5432.lock")).unwrap();
    }

    /// A copy of its data as of now, at rest.
    #[must_use]
    pub fn backup(&self) -> Self {
        let copy = Self::without_data();
        run(copy
            .program("pg_basebackup")
            .args(["--wal-method=stream", "--checkpoint=fast", "--no-sync"])
            .args(["--username=postgres", "--host"])
            .arg(self.dir.path()));
        copy
    }

    /// An asynchronous standby, running, which follows by way of a link to this one.
    pub async fn standby(&self, link: &Link) -> Self {
        let standby = Self::without_data();
        let address = link.address();
        let (host, port) = address.split_once(':').unwrap();
        let mut copying = standby.program("pg_basebackup");
        copying
            .args(["--wal-method=stream", "--checkpoint=fast", "--no-sync"])
            .args(["--write-recovery-conf", "--username=postgres"])
            .args(["--host", host, "--port", port]);
        // The link needs the threads of the runtime.
        let mut copying = tokio::process::Command::from(copying);
        let copying = tokio::time::timeout(PATIENCE, copying.kill_on_drop(true).output());
        let copied = copying.await.expect("a copy of the primary").unwrap();
        let complaint = String::from_utf8_lossy(&copied.stderr);
        assert!(copied.status.success(), "pg_basebackup: {complaint}");
        standby.start_again();
        standby
    }

    /// Makes a standby take writes.
    pub fn promote(&self) {
        run(self
            .program("pg_ctl")
            .args(["promote", "--wait", "--silent"]));
    }

    /// Ends it in good order.
    pub fn stop(&self) {
        run(self
            .program("pg_ctl")
            .args(["stop", "--wait", "--silent", "--mode=fast"]));
    }

    /// Puts another one's data in place of its own, both at rest: whoever knows the address finds the other one there.
    pub fn give_way_to(&self, other: &Self) {
        fs::remove_dir_all(self.data()).unwrap();
        fs::rename(other.data(), self.data()).unwrap();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> ServerAddress {
        ServerAddress::Unix(self.dir.path().join(".s.PGSQL.5432"))
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.dir.path())
            .user("postgres")
            .dbname("postgres");
        config
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A server program, as a user it accepts, on our data.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(bin_dir().join(name));
        command
            .current_dir(self.dir.path())
            .arg("--pgdata")
            .arg(self.data());
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the process that the data folder's pid file names; there is none after a crash.
        if self.data().join("postmaster.pid").exists() {
            let stopped = self
                .program("pg_ctl")
                .args(["stop", "--wait", "--silent", "--mode=immediate"])
                .status();
            assert!(thread::panicking() || stopped.unwrap().success());
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    // One that has just ended by itself needs none.
    let _gone = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// What the kernel says of a process: its state, and whose child it is.
fn status(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // They follow the name, which stands in parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.to_owned();
    Some((state, fields.next()?.parse().ok()?))
}

fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// Nobody may be there to collect what is left of it.
fn wait_for_the_end(pid: i32) {
    let step = Duration::from_millis(2);
    let mut left = PATIENCE;
    while status(pid).is_some_and(|(state, _)| state != "Z") {
        left = left.checked_sub(step).expect("a killed process ends");
        thread::sleep(step);
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
