//! How long a JSON string's text is, without decoding it.
//!
//! Guarantees: counts characters, an escape as one (a surrogate pair as two), and the bytes they have in UTF-8, in bytes
//! that are cut anywhere; allocates nothing.

use memchr::memchr2;

/// The progress through one string; starts behind its opening quote.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextLength {
    chars: u64,
    bytes: u64,
    escape: Escape,
}

#[derive(Debug, Clone, Copy, Default)]
enum Escape {
    #[default]
    No,
    /// Behind the backslash.
    Begun,
    /// In `\uXXXX`, with so many digits to come, and what they said so far.
    Digits { left: u8, code: u16 },
}

impl TextLength {
    /// Characters counted so far.
    pub(super) fn chars(self) -> u64 {
        self.chars
    }

    /// Bytes in UTF-8, of what was counted so far.
    pub(super) fn bytes(self) -> u64 {
        self.bytes
    }

    fn take(&mut self, text: &[u8]) {
        self.chars += characters(text);
        self.bytes += text.len() as u64;
    }

    /// Counts the string's next bytes; `Some` of what follows the closing quote, once it has come.
    pub(super) fn advance<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        while let Some((first, behind_first)) = bytes.split_first() {
            match self.escape {
                Escape::No => match memchr2(b'"', b'\\', bytes) {
                    None => {
                        self.take(bytes);
                        return None;
                    }
                    Some(at) => {
                        let (text, stop) = bytes.split_at_checked(at)?;
                        self.take(text);
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
                        Escape::Digits { left: 4, code: 0 }
                    } else {
                        self.bytes += 1;
                        Escape::No
                    };
                    bytes = behind_first;
                }
                Escape::Digits { left, code } => {
                    let digit = char::from(*first).to_digit(16).unwrap_or(0);
                    let code = (code << 4) | u16::try_from(digit).unwrap_or(0);
                    self.escape = if left > 1 {
                        let left = left - 1;
                        Escape::Digits { left, code }
                    } else {
                        self.bytes += bytes_of(code);
                        Escape::No
                    };
                    bytes = behind_first;
                }
            }
        }
        None
    }
}

/// What a character has in UTF-8, and half of what a pair of surrogates has.
fn bytes_of(code: u16) -> u64 {
    match code {
        0..0x80 => 1,
        0x80..0x800 | 0xd800..0xe000 => 2,
        _ => 3,
    }
}

/// UTF-8 characters, each counted by its first byte.
fn characters(text: &[u8]) -> u64 {
    text.iter().map(|b| u64::from(b & 0xc0 != 0x80)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, (chars, utf8): (u64, u64)) {
        let bytes = json.as_bytes();
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let mut length = TextLength::default();
            let rest = length.advance(first).or_else(|| length.advance(second));
            assert!(rest.is_some(), "{json} cut at {cut}");
            let counted = (length.chars(), length.bytes());
            assert_eq!(counted, (chars, utf8), "{json} cut at {cut}");
        }
    }

    #[test]
    fn characters_are_counted_and_their_bytes() {
        for (json, expected) in [
            ("\"", (0, 0)),
            ("abc\"", (3, 3)),
            (r#"a\nb\"c\\""#, (6, 6)),
            (r#"\u00e9\u0022x""#, (3, 4)),
            (r#"\u2713\ud83d\ude00""#, (3, 7)),
            ("héllo ✓\"", (7, 10)),
            (r#"\\" "def""#, (1, 1)),
        ] {
            check(json, expected);
        }
    }
}
