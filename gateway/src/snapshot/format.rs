//! The snapshot file, as bytes: a line with the version of the format, a line of JSON, a line with the SHA-256 of both.
//!
//! Guarantees: what was cut short or changed in any byte is not read. A version that isn't this one is said to be another
//! before anything else of the file is looked at.

use sha2::{Digest as _, Sha256};

use super::saved::Saved;

const VERSION: u32 = 2;
/// What a snapshot begins with, up to the number of the version.
const TITLE: &str = "mindweave-snapshot ";
/// The last line, up to the 64 digits.
const SUM: &str = "sha256 ";
const SUM_LINE: usize = SUM.len() + 64 + 1;

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

/// The bytes of a file.
pub(super) fn encode(saved: &Saved) -> Result<Vec<u8>, FormatError> {
    let mut bytes = format!("{TITLE}{VERSION}\n").into_bytes();
    serde_json::to_writer(&mut bytes, saved).map_err(FormatError::Content)?;
    bytes.push(b'\n');
    let sum = sum_line(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    Ok(bytes)
}

/// What a file's bytes say.
///
/// # Errors
/// If they are not exactly what [`encode`] made.
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
    if sum != sum_line(signed).as_bytes() {
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

fn sum_line(bytes: &[u8]) -> String {
    format!("{SUM}{:x}\n", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
