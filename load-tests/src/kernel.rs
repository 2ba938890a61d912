//! What the kernel says of a process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::Pid;

/// A process and those it began with, or just it.
#[derive(Debug, Clone)]
pub(crate) struct Processes(pub(crate) Vec<Pid>);

/// Time on a processor, by thread.
#[derive(Debug)]
pub(crate) struct Cpu(BTreeMap<String, u64>);

/// What of a process is in memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Without what is mapped from files.
    pub(crate) anonymous: u64,
    /// All of it.
    pub(crate) resident: u64,
    /// The most that was resident so far.
    pub(crate) peak: u64,
}

impl Processes {
    /// What all threads have had so far. Threads that have ended are missing: those that work don't end.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut threads = BTreeMap::new();
        for pid in &self.0 {
            let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
            for thread in fs::read_dir(folder).unwrap() {
                let path = thread.unwrap().path();
                let Ok(text) = fs::read_to_string(path.join("schedstat")) else {
                    continue; // ended just now
                };
                let on_cpu = text.split_whitespace().next();
                let on_cpu = on_cpu.and_then(|number| number.parse().ok());
                threads.insert(path.to_string_lossy().into_owned(), on_cpu.unwrap());
            }
        }
        Cpu(threads)
    }

    /// Resident memory without what is mapped from files, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let Memory { anonymous, .. } = self.memory();
        anonymous
    }

    pub(crate) fn memory(&self) -> Memory {
        let status = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap()
        };
        let all: Vec<_> = self.0.iter().map(status).collect();
        let sum = |field| all.iter().filter_map(|text| bytes_of(text, field)).sum();
        Memory {
            anonymous: sum("RssAnon:"),
            resident: sum("VmRSS:"),
            peak: sum("VmHWM:"),
        }
    }
}

fn bytes_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl Cpu {
    /// Since the process began.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.values().sum())
    }

    /// Since an earlier look.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let spent = self.0.iter().map(|(thread, on_cpu)| {
            let before = earlier.0.get(thread).copied().unwrap_or(0);
            on_cpu.saturating_sub(before)
        });
        Duration::from_nanos(spent.sum())
    }
}
