//! A body as text, of which every byte is looked at once, and as soon as it is here: of a long one the first pieces are no longer in
//! the cache when the last has come.

use bytes::Bytes;
use bytestring::ByteString;
use simdutf8::basic::from_utf8;
use smallvec::SmallVec;

/// Bytes that may be text.
#[derive(Clone)]
pub struct Text(Known);

#[derive(Clone)]
enum Known {
    /// Nothing is known of them: they are looked at when they are asked for.
    Bytes(Bytes),
    Text {
        text: ByteString,
        has_control_characters: bool,
    },
}

/// Text that was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked<'a> {
    pub(crate) text: &'a str,
    /// Those that JSON has only between values, if at all; line ends and tabs are among them.
    pub(crate) has_control_characters: bool,
}

impl Text {
    pub(crate) fn bytes(&self) -> &Bytes {
        match &self.0 {
            Known::Bytes(bytes) => bytes,
            Known::Text { text, .. } => text.as_bytes(),
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self.0 {
            Known::Bytes(bytes) => bytes,
            Known::Text { text, .. } => text.into_bytes(),
        }
    }

    /// None if it isn't UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Known::Bytes(bytes) => from_utf8(bytes).ok(),
            Known::Text { text, .. } => Some(text),
        }
    }

    /// The same, and what else JSON's readers want to know.
    pub(crate) fn checked(&self) -> Option<Checked<'_>> {
        match &self.0 {
            Known::Bytes(bytes) => Some(Checked::of(from_utf8(bytes).ok()?)),
            Known::Text {
                text,
                has_control_characters,
            } => Some(Checked {
                text,
                has_control_characters: *has_control_characters,
            }),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self(Known::Bytes(bytes))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

/// Nothing of what it says.
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text")
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

impl<'a> Checked<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self {
            text,
            has_control_characters: has_control_characters(text.as_bytes()),
        }
    }
}

/// Looks at every byte, whatever it finds: so it looks at many at once.
fn has_control_characters(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

/// A body in pieces, which are cut anywhere.
#[derive(Debug)]
pub(crate) enum Pieces {
    /// As far as it is text.
    Text {
        text: String,
        has_control_characters: bool,
        /// The beginning of a character of which the rest is to come.
        cut: SmallVec<[u8; 4]>,
    },
    Bytes(Vec<u8>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::Text {
            text: String::new(),
            has_control_characters: false,
            cut: SmallVec::new(),
        }
    }
}

impl Pieces {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text { text, cut, .. } => text.len() + cut.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// How many bytes there is room for without a move.
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.capacity(),
            Self::Bytes(bytes) => bytes.capacity(),
        }
    }

    /// Makes room for so many bytes in all.
    pub(crate) fn reserve(&mut self, all: usize) {
        match self {
            Self::Text { text, .. } => text.reserve(all.saturating_sub(text.len())),
            Self::Bytes(bytes) => bytes.reserve(all.saturating_sub(bytes.len())),
        }
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let done = match self {
            Self::Bytes(bytes) => {
                bytes.extend_from_slice(piece);
                return;
            }
            Self::Text {
                text,
                has_control_characters,
                cut,
            } => push_text(text, has_control_characters, cut, piece),
        };
        if let Err(NotText { rest }) = done {
            let mut bytes = self.take_bytes();
            bytes.extend_from_slice(rest);
            *self = Self::Bytes(bytes);
        }
    }

    pub(crate) fn into_text(mut self) -> Text {
        match self {
            Self::Text {
                text,
                has_control_characters,
                cut,
            } if cut.is_empty() => Text(Known::Text {
                text: text.into(),
                has_control_characters,
            }),
            Self::Text { .. } | Self::Bytes(_) => Bytes::from(self.take_bytes()).into(),
        }
    }

    fn take_bytes(&mut self) -> Vec<u8> {
        match self {
            Self::Text { text, cut, .. } => {
                let mut bytes = std::mem::take(text).into_bytes();
                bytes.extend_from_slice(cut);
                bytes
            }
            Self::Bytes(bytes) => std::mem::take(bytes),
        }
    }
}

/// What was pushed is no text, from here or a little before on.
struct NotText<'a> {
    rest: &'a [u8],
}

fn push_text<'a>(
    text: &mut String,
    has_control: &mut bool,
    cut: &mut SmallVec<[u8; 4]>,
    mut piece: &'a [u8],
) -> Result<(), NotText<'a>> {
    if let Some(first) = cut.first() {
        let missing = character_bytes(*first).saturating_sub(cut.len());
        let (end, rest) = piece.split_at(missing.min(piece.len()));
        cut.extend_from_slice(end);
        piece = rest;
        if end.len() < missing {
            return Ok(());
        }
        let Ok(character) = from_utf8(cut) else {
            return Err(NotText { rest });
        };
        text.push_str(character);
        cut.clear();
    }
    let (whole, begun) = piece.split_at(piece.len() - begun_bytes(piece));
    let Ok(whole) = from_utf8(whole) else {
        return Err(NotText { rest: piece });
    };
    *has_control |= has_control_characters(whole.as_bytes());
    text.push_str(whole);
    cut.extend_from_slice(begun);
    Ok(())
}

/// How many bytes a character has that begins like this; 1 of what begins none.
fn character_bytes(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// How many of the last bytes are the beginning of a character.
fn begun_bytes(bytes: &[u8]) -> usize {
    let mut behind = 0;
    for byte in bytes.iter().rev().take(3) {
        behind += 1;
        match character_bytes(*byte) {
            1 if *byte < 0x80 => return 0,
            1 => {}
            length => return if length > behind { behind } else { 0 },
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::pieces;

    /// However bytes are cut, they are the same, and as much is known of them.
    fn check(bytes: &[u8], sizes: impl IntoIterator<Item = usize>) {
        let mut gathered = Pieces::default();
        let mut length = 0;
        for piece in pieces(bytes, sizes) {
            gathered.push(piece);
            length += piece.len();
            assert_eq!(gathered.len(), length);
        }
        let text = gathered.into_text();
        assert_eq!(text.bytes(), bytes);
        assert_eq!(text.clone().into_bytes(), bytes);
        assert_eq!(text.as_str(), str::from_utf8(bytes).ok());
        let is_control = |byte: &u8| *byte < 0x20;
        let known = text.checked();
        assert_eq!(known.map(|known| known.text), text.as_str());
        if let Some(known) = known {
            assert_eq!(known.has_control_characters, bytes.iter().any(is_control));
        }
    }

    #[test]
    fn a_character_may_be_cut_anywhere() {
        let text = "a\u{e4}\u{20ac}\u{1f600}z".as_bytes();
        for first in 0..=text.len() {
            for second in 0..=text.len() - first {
                check(text, [first, second]);
            }
        }
        check(text, vec![1; text.len()]);
    }

    #[test]
    fn what_is_no_text_stays_as_it_came() {
        for bytes in [
            &b"ab\xff"[..],
            b"\x80",
            b"a\xe2\x82",
            b"a\xe2\x82b",
            b"\xed\xa0\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xc0\x80",
            b"\xf0\x9f\x98\xe2\x82\xac",
        ] {
            for first in 0..=bytes.len() {
                check(bytes, [first]);
            }
            check(bytes, vec![1; bytes.len()]);
        }
    }

    proptest! {
        #[test]
        fn nothing_depends_on_how_bytes_are_cut(
            bytes in prop_oneof![
                "\\PC{0,40}".prop_map(String::into_bytes),
                "[\\x00-\\x40\u{e4}\u{20ac}\u{1f600}]{0,40}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(prop::sample::select(vec![b'a', 0x80, 0xc3, 0xe2, 0x82, 0xac, 0xf0, 0x9f]), 0..20),
            ],
            sizes in prop::collection::vec(0..9_usize, 0..20),
        ) {
            check(&bytes, sizes);
        }
    }
}
