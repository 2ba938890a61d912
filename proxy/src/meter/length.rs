//! How long a JSON string's text is, without decoding it.
//!
//! Guarantees: counts characters, an escape as one (a surrogate pair as two), in bytes that are cut
//! anywhere; allocates nothing.

use memchr::memchr2;

/// The progress through one string; starts behind its opening quote.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextLength {
    chars: u64,
    escape: Escape,
}

#[derive(Debug, Clone, Copy, Default)]
enum Escape {
    #[default]
    No,
    /// Behind the backslash.
    Begun,
    /// In `\uXXXX`, with this many digits to come.
    Digits(u8),
}

impl TextLength {
    /// Characters counted so far.
    pub(super) fn chars(self) -> u64 {
        self.chars
    }

    /// Counts the string's next bytes; `Some` of what follows the closing quote, once it has come.
    pub(super) fn advance<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        while let Some((first, behind_first)) = bytes.split_first() {
            match self.escape {
                Escape::No => match memchr2(b'"', b'\\', bytes) {
                    None => {
                        self.chars += characters(bytes);
                        return None;
                    }
                    Some(at) => {
                        let (text, stop) = bytes.split_at_checked(at)?;
                        self.chars += characters(text);
                        let (stop, behind_stop) = stop.split_first()?;
                        if *stop == b'"' {
                            return Some(behind_stop);
                        }
                        self.escape = Escape::Begun;
                        bytes = behind_stop;
                    }
                },
                Escape::Begun => {
                    self.chars += 1;
                    self.escape = if *first == b'u' {
                        Escape::Digits(4)
                    } else {
                        Escape::No
                    };
                    bytes = behind_first;
                }
                Escape::Digits(left) => {
                    self.escape = if left > 1 {
                        Escape::Digits(left - 1)
                    } else {
                        Escape::No
                    };
                    bytes = behind_first;
                }
            }
        }
        None
    }
}

/// UTF-8 characters, each counted by its first byte.
fn characters(text: &[u8]) -> u64 {
    text.iter().map(|b| u64::from(b & 0xc0 != 0x80)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: u64) {
        let bytes = json.as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let mut length = TextLength::default();
            let rest = length.advance(first).or_else(|| length.advance(second));
            assert!(rest.is_some(), "{json} cut at {cut}");
            assert_eq!(length.chars(), expected, "{json} cut at {cut}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        for (json, expected) in [
            ("\"", 0),
            ("abc\"", 3),
            (r#"a\nb\"c\\""#, 6),
            (r#"\u00e9\u0022x""#, 3),
            ("héllo ✓\"", 7),
            (r#"\\" "def""#, 1),
        ] {
            check(json, expected);
        }
    }
}
