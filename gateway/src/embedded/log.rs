//! The server's log file: appended to by the server itself, put aside when it has grown long, quoted in errors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A log longer than this is renamed to `postgres.log.1` before the server starts.
const LONG_BYTES: u64 = 16 * 1024 * 1024;
/// How much of the end of a log is looked at for a quotation.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 8;

/// A log and where it ended when the server was started: only what came since is worth quoting.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
    start_bytes: u64,
}

impl Log {
    /// Opens the log for a server to append to.
    pub(super) fn open(path: &Path) -> io::Result<(Self, File)> {
        if fs::metadata(path).is_ok_and(|log| log.len() > LONG_BYTES) {
            fs::rename(path, path.with_extension("log.1"))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let start_bytes = file.metadata()?.len();
        Ok((
            Self {
                path: path.to_owned(),
                start_bytes,
            },
            file,
        ))
    }

    /// The log of a server that runs already.
    pub(super) fn of_running(path: &Path) -> Self {
        let start_bytes = fs::metadata(path).map_or(0, |log| log.len().saturating_sub(TAIL_BYTES));
        Self {
            path: path.to_owned(),
            start_bytes,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines since the start, as far as they can be read.
    pub(super) fn tail(&self) -> String {
        self.read_tail()
            .unwrap_or_else(|error| format!("(it cannot be read: {error})"))
    }

    fn read_tail(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let start = file
            .metadata()?
            .len()
            .saturating_sub(TAIL_BYTES)
            .max(self.start_bytes);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(last_lines(&String::from_utf8_lossy(&bytes), TAIL_LINES))
    }
}

/// The last `count` lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(count))
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Log, last_lines};

    #[test]
    fn only_the_last_lines_are_quoted() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn what_an_earlier_server_said_is_not_quoted() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("postgres.log");
        std::fs::write(&path, "old trouble\n").expect("a log");
        let (log, mut file) = Log::open(&path).expect("a log");
        std::io::Write::write_all(&mut file, b"new trouble\n").expect("a line");
        assert_eq!(log.tail(), "new trouble");
    }
}
