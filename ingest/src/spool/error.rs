//! Why the spool can't do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::header::FORMAT_VERSION;

/// Every failure of the spool. None of them has changed a file in use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("can't {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the disk has no room for a segment of {bytes} bytes in {}", folder.display())]
    NoSpace {
        folder: PathBuf,
        bytes: u64,
        source: io::Error,
    },
    #[error(
        "{} is damaged at byte {offset}: {what}. Nothing was changed. Restore the file from a copy, or move \
         the stream's whole folder away: its events that are not stored yet are then left out",
        path.display()
    )]
    Corrupt {
        path: PathBuf,
        offset: u64,
        what: &'static str,
    },
    #[error(
        "{} has format version {version}, and this program knows versions up to {FORMAT_VERSION}: run the \
         newer program that wrote it",
        path.display()
    )]
    Newer { path: PathBuf, version: u32 },
    #[error("{} belongs to stream {found}: it was copied from there; move it away", path.display())]
    Foreign { path: PathBuf, found: Uuid },
    #[error("the oldest frame on disk is {oldest}, and one before it was asked for")]
    Gap { oldest: u64 },
    #[error("{} holds a stream already", folder.display())]
    Exists { folder: PathBuf },
    #[error("a payload of {bytes} bytes can't be a frame")]
    Payload { bytes: usize },
}

impl SpoolError {
    /// A bounded name of what went wrong, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::NoSpace { .. } => "no_space",
            Self::Corrupt { .. } => "corrupt",
            Self::Newer { .. } => "newer_format",
            Self::Foreign { .. } => "foreign",
            Self::Gap { .. } => "gap",
            Self::Exists { .. } => "exists",
            Self::Payload { .. } => "payload",
        }
    }

    pub(super) fn corrupt(path: &Path, offset: u64, what: &'static str) -> Self {
        let path = path.to_owned();
        Self::Corrupt { path, offset, what }
    }
}

/// Says what was tried, and where.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, SpoolError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, SpoolError> {
        self.map_err(|source| SpoolError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

/// Whether the disk, or this user's share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
