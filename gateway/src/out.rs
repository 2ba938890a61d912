//! What a command says to the person who gave it: on standard output, apart from the log.

use std::io::Write as _;

/// Writes a line. A reader that went away is no reason to stop.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _written = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: impl std::fmt::Display) {
    let _written = writeln!(std::io::stderr().lock(), "{text}");
}
