//! What the server said against a migration, and where in the file.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition};

use crate::error::Error;
use crate::migration::Script;

/// A statement of a migration that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file the statement is in.
    pub file: String,
    /// Its line, counted from 1; the server names a place in the text for some faults only.
    pub line: Option<usize>,
    /// Five characters that PostgreSQL's manual explains.
    pub sqlstate: String,
    /// The server's message, and its detail, hint and context where it gave them.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl Refusal {
    fn new(script: &Script, refused: &DbError) -> Self {
        Self {
            file: script.file.clone(),
            line: line(script.sql, refused.position()),
            sqlstate: refused.code().code().to_owned(),
            message: message(refused),
        }
    }
}

/// For `map_err`: a script failed, by the server's will or for want of a connection.
pub(crate) fn of(script: &Script) -> impl FnOnce(tokio_postgres::Error) -> Error {
    move |source| match source.as_db_error() {
        Some(refused) => Error::Refused(Box::new(Refusal::new(script, refused))),
        None => Error::Database {
            doing: "run a migration",
            source,
        },
    }
}

/// Positions are in characters from 1; those inside a function's body say nothing about the file.
fn line(sql: &str, position: Option<&ErrorPosition>) -> Option<usize> {
    match position? {
        ErrorPosition::Original(position) => {
            let before = usize::try_from(*position).ok()?.saturating_sub(1);
            Some(sql.chars().take(before).filter(|&c| c == '\n').count() + 1)
        }
        ErrorPosition::Internal { .. } => None,
    }
}

fn message(refused: &DbError) -> String {
    let more = [refused.detail(), refused.hint(), refused.where_()];
    let parts = std::iter::once(refused.message()).chain(more.into_iter().flatten());
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_characters_before_the_position() {
        #[track_caller]
        fn check(sql: &str, position: u32, expected: usize) {
            let position = ErrorPosition::Original(position);
            assert_eq!(
                line(sql, Some(&position)),
                Some(expected),
                "{sql:?} {position:?}"
            );
        }
        check("SELECT x", 8, 1);
        check("a\nb\nc", 3, 2);
        check("a\nb\nc", 5, 3);
        check("-- \u{e9}\u{e9}\u{e9}\nx", 8, 2);
        check("a\nb", 99, 2);
        check("", 0, 1);
    }

    #[test]
    fn a_line_that_is_not_known_is_left_out() {
        let refusal = Refusal {
            file: "1_a.up.sql".to_owned(),
            line: None,
            sqlstate: "42P07".to_owned(),
            message: "relation \"a\" already exists".to_owned(),
        };
        assert_eq!(
            refusal.to_string(),
            "1_a.up.sql: relation \"a\" already exists (SQLSTATE 42P07)"
        );
    }
}
