//! Names that a caller chose, fit to be shown.

use std::fmt::{self, Write};

/// How much of a name is shown, in characters.
const MOST: usize = 100;

/// A name, cut where it is long, and without characters that would end a line or a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars().take(MOST) {
            f.write_char(if character.is_control() {
                '?'
            } else {
                character
            })?;
        }
        if self.0.chars().nth(MOST).is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_one_line_and_no_more_than_its_room() {
        let (long, longer) = ("ä".repeat(100), "ä".repeat(101));
        for (name, expected) in [
            ("claude-opus-4", "claude-opus-4".to_owned()),
            ("a\r\nb: c\u{85}", "a??b: c?".to_owned()),
            (&long, long.clone()),
            (&longer, format!("{long}...")),
            ("", String::new()),
        ] {
            assert_eq!(Shown(name).to_string(), expected);
        }
    }
}
