//! What a run says: lines as they come, and a verdict at the end.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

/// The report of one run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Report {
    failed: usize,
    checks: usize,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self {
            failed: 0,
            checks: 0,
        }
    }

    /// What was done or seen.
    pub(crate) fn say(&self, line: impl Display) {
        print(line);
    }

    /// What has to hold.
    pub(crate) fn check(&mut self, what: impl Display, holds: bool) {
        self.checks += 1;
        self.failed += usize::from(!holds);
        print(format_args!(
            "  {} {what}",
            if holds { "ok     " } else { "NOT SO " }
        ));
    }

    /// The last line.
    pub(crate) fn verdict(self) -> ExitCode {
        if self.failed > 0 {
            return Self::failed(format!("{} of {} checks", self.failed, self.checks));
        }
        print(format_args!("PASSED: {} checks", self.checks));
        ExitCode::SUCCESS
    }

    /// The last line of a run that went wrong, as a whole or in part.
    pub(crate) fn failed(why: impl Display) -> ExitCode {
        print(format_args!("FAILED: {why}"));
        ExitCode::FAILURE
    }
}

/// Whoever reads may have left: the exit code remains.
pub(crate) fn print(line: impl Display) {
    let _nobody_reads = writeln!(std::io::stdout().lock(), "{line}");
}
