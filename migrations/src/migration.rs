//! A migration: a change of the schema and its undoing, as text.
//!
//! Nothing here talks to a database.

use sha2::{Digest as _, Sha256};

use crate::file_name;

/// First line of a file whose one statement PostgreSQL refuses to run in a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

/// One step from a schema to the next.
///
/// A list of migrations is in ascending order of `version`, without duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// When it was written, as the digits YYYYMMDDHHMMSS.
    pub version: i64,
    /// What it does, in a few words joined by `_`.
    pub name: &'static str,
    /// SQL that makes the change.
    pub up: &'static str,
    /// SQL that undoes it.
    pub down: &'static str,
}

/// Every migration of this program, oldest first.
#[must_use]
pub fn all() -> &'static [Migration] {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"))
}

impl Migration {
    /// Name of the file that makes the change.
    #[must_use]
    pub fn up_file(&self) -> String {
        file_name::up_file(self.version, self.name)
    }

    /// Name of the file that undoes it.
    #[must_use]
    pub fn down_file(&self) -> String {
        file_name::down_file(self.version, self.name)
    }

    /// SHA-256 of the up file, in lower-case hex.
    #[must_use]
    pub fn checksum(&self) -> String {
        let digest = Sha256::digest(self.up.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn up_script(&self) -> Script {
        Script::new(self.up_file(), self.up)
    }

    pub(crate) fn down_script(&self) -> Script {
        Script::new(self.down_file(), self.down)
    }
}

/// One of a migration's two files.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name.
    pub(crate) file: String,
    /// Its text.
    pub(crate) sql: &'static str,
    /// False for a single statement that must run on its own.
    pub(crate) in_transaction: bool,
}

impl Script {
    fn new(file: String, sql: &'static str) -> Self {
        let first_line = sql.lines().next().unwrap_or_default();
        Self {
            file,
            sql,
            in_transaction: first_line.trim_end() != NO_TRANSACTION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_lower_case_hex_of_the_up_file() {
        let migration = Migration {
            version: 20_260_101_000_000,
            name: "abc",
            up: "abc",
            down: "",
        };
        assert_eq!(
            migration.checksum(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn only_the_first_line_opts_out_of_the_transaction() {
        #[track_caller]
        fn check(sql: &'static str, in_transaction: bool) {
            assert_eq!(
                Script::new(String::new(), sql).in_transaction,
                in_transaction,
                "{sql}"
            );
        }
        check("", true);
        check("SELECT 1", true);
        check("-- no-transaction\nSELECT 1", false);
        check("-- why\n-- no-transaction\nSELECT 1", true);
        check("-- no-transactions\nSELECT 1", true);
    }

    #[test]
    fn embedded_list_is_in_order() {
        assert!(!all().is_empty());
        assert!(all().is_sorted_by(|older, newer| older.version < newer.version));
    }
}
