//! Where a run took place, and with what.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gib: Option<f64>,
    pub(super) kernel: String,
    pub(super) nginx: Option<String>,
    /// What is installed now; most likely what built the programs.
    pub(super) rustc: Option<String>,
    /// The day, in UTC.
    pub(super) date: Option<String>,
    /// Of the sources.
    pub(super) commit: Option<String>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kibibytes = member(&memory, "MemTotal").and_then(|text| {
            let number = text.split_whitespace().next()?;
            number.parse::<f64>().ok()
        });
        Self {
            cpu: member(&processors, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.map(|kibibytes| (kibibytes / 1_048_576.0 * 10.0).round() / 10.0),
            kernel: kernel.trim().to_owned(),
            nginx: said("nginx", &["-v"]).map(|said| match said.split_once('/') {
                Some((_, version)) => version.to_owned(),
                None => said,
            }),
            rustc: said("rustc", &["--version"]),
            date: said("date", &["--utc", "+%F"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
        }
    }

    /// For reading, one line each.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let memory = self.memory_gib.map(|memory| format!("{memory} GiB"));
        vec![
            ("CPU", format!("{}, {} cores", self.cpu, self.cores)),
            ("memory", told(&memory)),
            ("kernel", self.kernel.clone()),
            ("nginx", told(&self.nginx)),
            ("Rust", told(&self.rustc)),
            ("date", told(&self.date)),
            ("commit", told(&self.commit)),
        ]
    }
}

/// Of a file of the kernel's: the first line of that name.
fn member(text: &str, name: &str) -> Option<String> {
    let mut members = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = members.find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

/// What a program says, wherever it says it.
fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let said = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let said = String::from_utf8(said).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}
