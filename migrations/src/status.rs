//! What the runner reports.

use chrono::{DateTime, Utc};

/// A migration that was just applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// A migration that was just undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: &'static str,
}

/// A migration as this program and this database see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its version.
    pub version: i64,
    /// Its name: the program's, or the database's where the program knows none.
    pub name: String,
    /// When it was applied, by the database's clock.
    pub applied_at: Option<DateTime<Utc>>,
    /// How the two agree.
    pub state: State,
}

/// How program and database agree about a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Applied, and unchanged since.
    Applied,
    /// Known and not applied yet.
    Pending,
    /// Applied, but the file is another one now.
    Drifted,
    /// Applied by a program that knew more than this one.
    Unknown,
}

impl State {
    /// The state in a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
        }
    }
}
