//! Questions about processes, answered from `/proc`. A process that can't be looked at is as good as none.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::process::Pid;

/// A process: an id and the moment it started, so that a later process of the same id is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: Pid,
    started_ticks: u64,
}

impl Process {
    /// The living process of an id; one that has ended but was not yet waited for is not living.
    pub(super) fn find(pid: Pid) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| !stat.has_ended)?;
        Some(Self {
            pid,
            started_ticks: stat.started_ticks,
        })
    }

    pub(super) fn pid(self) -> Pid {
        self.pid
    }

    pub(super) fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// What it was started with or has put in its place, as a title; empty where that can't be read.
    pub(super) fn arguments(self) -> Vec<OsString> {
        let line = fs::read(entry(self.pid, "cmdline")).unwrap_or_default();
        let arguments = line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty());
        arguments
            .map(|argument| OsString::from_vec(argument.to_vec()))
            .collect()
    }
}

/// All living processes.
pub(super) fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter_map(Process::find)
}

/// Whether an id still belongs to a process that has ended, as nobody has waited for it yet. Some
/// containers have nobody who ever does.
pub(super) fn is_zombie(pid: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.has_ended)
}

fn entry(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    has_ended: bool,
    started_ticks: u64,
}

impl Stat {
    fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(entry(pid, "stat")).ok()?)
    }

    /// Fields 3 and 22 of proc(5): the state, and the start in clock ticks since the system's boot.
    /// The name before them, which may hold anything, ends at the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
        let started_ticks = fields.nth(18)?.parse().ok()?;
        Some(Self {
            has_ended,
            started_ticks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, Stat, processes};

    fn check(stat: &str, expected: Option<(bool, u64)>) {
        let found = Stat::parse(stat).map(|stat| (stat.has_ended, stat.started_ticks));
        assert_eq!(found, expected, "{stat:?}");
    }

    #[test]
    fn state_and_start_are_read_past_any_name() {
        let rest = "1 7 7 0 -1 4194560 2 0 0 0 0 0 0 0 20 0 1 0 8642 1 2 3";
        check(&format!("7 (postgres) S {rest}"), Some((false, 8642)));
        check(&format!("7 (a ) Z 1 b) R {rest}"), Some((false, 8642)));
        check(&format!("7 (postgres) Z {rest}"), Some((true, 8642)));
        check("7 (postgres) S 1", None);
        check("", None);
    }

    #[test]
    fn this_process_is_found_alive() {
        let this = Process::find(rustix::process::getpid()).expect("this process");
        assert!(this.is_alive());
        assert!(processes().any(|process| process == this));
        let program = std::env::args_os().next().expect("a program");
        assert_eq!(this.arguments().first(), Some(&program));
    }
}
