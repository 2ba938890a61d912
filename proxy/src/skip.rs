//! Where a JSON value ends, found in bytes that are cut anywhere.
//!
//! Guarantees: looks only at quotes, backslashes and brackets, keeps no bytes, and doesn't judge whether
//! what lies between them is valid. Strings, where nearly all bytes are, are crossed with `memchr`.

use memchr::memchr2;

/// The progress through one value; starts before its first byte, which is not whitespace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skip {
    /// Arrays and objects open.
    depth: usize,
    place: Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// In an array or object, outside of strings.
    Container,
    Text,
    /// In a string, behind a backslash.
    Escape,
    /// In a number or a keyword, which end where something else begins.
    Scalar,
    /// Behind the value.
    Ended,
}

/// The bytes shown, divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The value's own bytes.
    pub(crate) taken: &'a [u8],
    /// What follows them; empty unless the value ended.
    pub(crate) rest: &'a [u8],
    pub(crate) ended: bool,
}

impl Skip {
    /// Takes the bytes that belong to the value.
    pub(crate) fn advance<'a>(&mut self, bytes: &'a [u8]) -> Part<'a> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            let taken = match self.place {
                Place::Start => self.start(*first, rest),
                Place::Text => self.text(rest),
                Place::Escape => self.go(Place::Text, 1),
                Place::Container => self.container(rest),
                Place::Scalar => self.scalar(rest),
                Place::Ended => break,
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        let (taken, rest) = bytes.split_at(bytes.len() - rest.len());
        let ended = self.place == Place::Ended;
        Part { taken, rest, ended }
    }

    /// `taken` bytes lead to `place`.
    fn go(&mut self, place: Place, taken: usize) -> usize {
        self.place = place;
        taken
    }

    fn start(&mut self, first: u8, rest: &[u8]) -> usize {
        match first {
            b'"' => {
                self.place = Place::Text;
                1 + self.text(rest.get(1..).unwrap_or_default())
            }
            b'{' | b'[' => {
                self.depth = 1;
                self.go(Place::Container, 1)
            }
            _ => self.go(Place::Scalar, 0),
        }
    }

    fn text(&mut self, rest: &[u8]) -> usize {
        let Some(at) = memchr2(b'"', b'\\', rest) else {
            return rest.len();
        };
        match rest.get(at) {
            Some(b'\\') => self.go(Place::Escape, at + 1),
            _ if self.depth == 0 => self.go(Place::Ended, at + 1),
            _ => self.go(Place::Container, at + 1),
        }
    }

    fn container(&mut self, rest: &[u8]) -> usize {
        let special = |b: &u8| matches!(b, b'"' | b'{' | b'[' | b'}' | b']');
        let Some(at) = rest.iter().position(special) else {
            return rest.len();
        };
        match rest.get(at) {
            Some(b'"') => return self.go(Place::Text, at + 1),
            Some(b'{' | b'[') => self.depth += 1,
            _ => self.depth -= 1,
        }
        if self.depth == 0 {
            self.place = Place::Ended;
        }
        at + 1
    }

    fn scalar(&mut self, rest: &[u8]) -> usize {
        let delimiter = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        match rest.iter().position(delimiter) {
            Some(at) => self.go(Place::Ended, at),
            None => rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &[u8], value: &[u8]) {
        for cut in 0..=json.len() {
            let mut skip = Skip::default();
            let (first, second) = json.split_at(cut);
            let mut taken = 0;
            for bytes in [first, second] {
                if skip.place != Place::Ended {
                    taken += skip.advance(bytes).taken.len();
                }
            }
            assert_eq!(&json[..taken], value, "cut at {cut}");
            assert_eq!(skip.place, Place::Ended, "cut at {cut}");
        }
    }

    #[test]
    fn a_value_ends_where_it_ends() {
        for (json, value) in [
            (&br#""a",1"#[..], &br#""a""#[..]),
            (br#""a\"b\\" "#, br#""a\"b\\""#),
            (br#""\u0022\\\"",""#, br#""\u0022\\\"""#),
            (b"12.5e3,", b"12.5e3"),
            (b"null}", b"null"),
            (b"true]", b"true"),
            (b"{}}", b"{}"),
            (
                br#"{"a":[1,{"b":"]}\"}"}]},"#,
                br#"{"a":[1,{"b":"]}\"}"}]}"#,
            ),
            (b"[[],[[]]]]", b"[[],[[]]]"),
        ] {
            check(json, value);
        }
    }

    #[test]
    fn a_value_cut_short_has_not_ended() {
        for json in [&b"12"[..], b"tru", br#""a\""#, br#"{"a":1"#, b"[[]"] {
            assert!(!Skip::default().advance(json).ended);
        }
    }
}
