//! The processes of a cluster's server, recognised beyond doubt before anything is done to one: a
//! process id alone may have passed on to a stranger. They are told by their command lines, which
//! everyone may read; their working directories would need a capability that containers withhold
//! from root.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::process::Pid;

use super::procfs::Process;
use super::settings;

/// Names the postmaster, as long as it lives and, where it was killed, after that.
pub(super) const PID_FILE: &str = "postmaster.pid";

/// A cluster's living first process.
#[derive(Debug)]
pub(super) struct Postmaster {
    process: Process,
    port: u16,
}

impl Postmaster {
    /// The cluster's postmaster, if one is alive.
    pub(super) fn of(cluster: &Path) -> Option<Self> {
        let (pid, port) = read_pid_file(cluster)?;
        let process = Process::find(pid).filter(|process| is_started_on(cluster, *process))?;
        Some(Self { process, port })
    }

    pub(super) fn process(&self) -> Process {
        self.process
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// A postmaster shows what it was started with, `.../postgres -D <cluster> ...`, and so does its
/// child for a moment.
fn is_started_on(cluster: &Path, process: Process) -> bool {
    let arguments = process.arguments();
    let is_postgres = |program: &OsString| Path::new(program).ends_with("postgres");
    arguments.first().is_some_and(is_postgres)
        && arguments
            .iter()
            .any(|argument| Path::new(argument) == cluster)
}

/// Any other process of a server has a title: `postgres: <cluster name>: checkpointer`.
pub(super) fn belongs_to(cluster: &Path, process: Process) -> bool {
    let title = format!("postgres: {}: ", settings::cluster_name(cluster));
    let is_titled = |first: &OsString| first.as_encoded_bytes().starts_with(title.as_bytes());
    is_started_on(cluster, process) || process.arguments().first().is_some_and(is_titled)
}

fn read_pid_file(cluster: &Path) -> Option<(Pid, u16)> {
    parse(&fs::read_to_string(cluster.join(PID_FILE)).ok()?)
}

/// The process id and the port, lines 1 and 4. A stand-alone backend writes its id negative.
fn parse(text: &str) -> Option<(Pid, u16)> {
    let mut lines = text.lines();
    let pid: i32 = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    let pid = if pid > 0 {
        Pid::from_raw(pid)?
    } else {
        return None;
    };
    Some((pid, port))
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn check(text: &str, expected: Option<(i32, u16)>) {
        let found = parse(text).map(|(pid, port)| (pid.as_raw_nonzero().get(), port));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn the_pid_file_gives_id_and_port() {
        check(
            "4711\n/srv/cluster\n1700000000\n25432\n/srv/cluster\n127.0.0.1\n  1 2\nready   \n",
            Some((4711, 25432)),
        );
        check(
            "4711\n/srv/cluster\n1700000000\n25432\n",
            Some((4711, 25432)),
        );
        check("-4711\n/srv/cluster\n1700000000\n25432\n", None);
        check("0\n/srv/cluster\n1700000000\n25432\n", None);
        check("4711\n/srv/clus", None);
        check("", None);
    }
}
