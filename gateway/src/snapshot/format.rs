//! The snapshot file, as bytes: a line with the version of the format, a line of JSON, a line with the SHA-256 of both.
//!
//! Guarantees: what was cut short or changed in any byte is not read. A version that isn't this one is said to be another
//! before anything else of the file is looked at.

use std::io::{self, BufWriter, Write};

use sha2::{Digest as _, Sha256};

use super::saved::{HeldKeys, Saved};

const VERSION: u32 = 2;
/// What a snapshot begins with, up to the number of the version.
const TITLE: &str = "mindweave-snapshot ";
/// The last line, up to the 64 digits.
const SUM: &str = "sha256 ";
const SUM_LINE: usize = SUM.len() + 64 + 1;
/// Bytes that are summed up and handed to the system at once.
const PIECE: usize = 64 * 1_024;

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormatError {
    /// Something else stands at its beginning.
    #[error("it is not a snapshot")]
    Foreign,
    /// Of another build.
    #[error("its format is version {found}, and this build reads version {VERSION} only")]
    Version {
        /// The version that wrote it.
        found: u32,
    },
    /// The sum is not that of the content.
    #[error("it is damaged or not whole: its checksum is wrong")]
    Damaged,
    /// Whole, but not what this version writes.
    #[error("its content makes no sense")]
    Content(#[source] serde_json::Error),
}

/// Writes a file's bytes, piece by piece: there may be hundreds of megabytes.
pub(super) fn write(saved: &Saved<HeldKeys>, to: impl Write) -> io::Result<()> {
    let mut summed = Summed::new(to);
    let mut pieces = BufWriter::with_capacity(PIECE, &mut summed);
    writeln!(pieces, "{TITLE}{VERSION}")?;
    serde_json::to_writer(&mut pieces, saved)?;
    pieces.write_all(b"\n")?;
    pieces.flush()?;
    drop(pieces);
    let Summed { sum, mut to } = summed;
    to.write_all(sum_line(sum).as_bytes())
}

/// What a file's bytes say.
///
/// # Errors
/// If they are not exactly what [`write`] made.
pub(super) fn decode(bytes: &[u8]) -> Result<Saved, FormatError> {
    let (title, _) = split_line(bytes).ok_or(FormatError::Foreign)?;
    let found = version(title).ok_or(FormatError::Foreign)?;
    if found != VERSION {
        return Err(FormatError::Version { found });
    }
    let content_end = bytes.len().checked_sub(SUM_LINE);
    let (signed, sum) = content_end
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or(FormatError::Damaged)?;
    if sum != sum_line(Sha256::new_with_prefix(signed)).as_bytes() {
        return Err(FormatError::Damaged);
    }
    let (_, content) = split_line(signed).ok_or(FormatError::Damaged)?;
    serde_json::from_slice(content).map_err(FormatError::Content)
}

/// A line without its end, and what follows.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn version(title: &[u8]) -> Option<u32> {
    let number = title.strip_prefix(TITLE.as_bytes())?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn sum_line(sum: Sha256) -> String {
    format!("{SUM}{:x}\n", sum.finalize())
}

/// Sums up what passes.
struct Summed<W> {
    sum: Sha256,
    to: W,
}

impl<W: Write> Summed<W> {
    fn new(to: W) -> Self {
        let sum = Sha256::new();
        Self { sum, to }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests;
