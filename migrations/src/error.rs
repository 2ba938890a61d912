//! Why a migration command stopped.

use std::io;
use std::path::PathBuf;

use crate::refusal::Refusal;

/// What went wrong, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused a migration. Its transaction is rolled back, those before it stay.
    #[error("{0}")]
    Refused(Box<Refusal>),

    /// An applied migration was edited afterwards: nobody knows any more what is in the database.
    #[error("{file} was changed after it was applied: checksum {applied} then, {embedded} now")]
    Drifted {
        /// Version of the migration.
        version: i64,
        /// Its up file.
        file: String,
        /// Checksum in the database.
        applied: String,
        /// Checksum of the file in this program.
        embedded: String,
    },

    /// The database is ahead of this program.
    #[error(
        "{file} is applied to the database but unknown to this program: use the program that applied it"
    )]
    Unknown {
        /// Version of the migration.
        version: i64,
        /// Its up file, as the database remembers it.
        file: String,
    },

    /// A pending migration is older than an applied one, so it was never tried in this order.
    #[error(
        "{file} is not applied although the newer version {newest_applied} is: undo that first, or give the file a new version"
    )]
    Gap {
        /// Version of the pending migration.
        version: i64,
        /// Its up file.
        file: String,
        /// The newest applied version.
        newest_applied: i64,
    },

    /// The database didn't do something that every migration needs.
    #[error("cannot {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database or the connection said.
        source: tokio_postgres::Error,
    },

    /// Not a name for a new migration.
    #[error(
        "{name:?} is not a name for a migration: lower-case letters and digits in words joined by _, at most 100"
    )]
    NameInvalid {
        /// What was given.
        name: String,
    },

    /// Not a version for a new migration.
    #[error("{version} is not a version: YYYYMMDDHHMMSS")]
    VersionInvalid {
        /// What was given.
        version: i64,
    },

    /// A new migration would not come last.
    #[error("version {version} is not newer than {newest} in the folder")]
    VersionNotNewer {
        /// What was given.
        version: i64,
        /// The newest in the folder.
        newest: i64,
    },

    /// The folder of migrations can't be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The kind of fault in a word, from a bounded set.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Drifted { .. } => "drifted",
            Self::Unknown { .. } => "unknown",
            Self::Gap { .. } => "gap",
            Self::Database { .. } => "database",
            Self::NameInvalid { .. } => "name_invalid",
            Self::VersionInvalid { .. } => "version_invalid",
            Self::VersionNotNewer { .. } => "version_not_newer",
            Self::Io { .. } => "io",
        }
    }

    /// For `map_err`: the database failed at something.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
