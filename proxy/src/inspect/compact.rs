//! JSON as clients write it: without control characters, so without tabs and line ends between values, too.
//!
//! Guarantees: it says where the members of an object are only if the whole text is JSON, to any depth, and then what `serde_json` says of
//! it. Of any other text it says nothing. Strings, where nearly all bytes are, are crossed with `memchr`; whether they have control
//! characters is known before.

use memchr::memchr2;
use smallvec::SmallVec;

use super::members::{MOST_MEMBERS, Member};
use crate::text::Checked;

/// The members of an object, in order.
pub(super) fn members(checked: Checked<'_>) -> Option<Vec<Member>> {
    if checked.has_control_characters {
        return None;
    }
    let text = checked.text;
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    reader.blank();
    let members = reader.object()?;
    reader.blank();
    (reader.at == text.len()).then_some(members)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while self.next() == Some(b' ') {
            self.at += 1;
        }
    }

    /// The members of the outermost one. Names with escapes, which may be no text, are left to another reader, and so are too many.
    fn object(&mut self) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        self.take(b'{')?;
        self.blank();
        if self.take(b'}').is_some() {
            return Some(members);
        }
        loop {
            let start = self.at;
            let is_plain = self.string()?;
            let name = start..self.at;
            if !is_plain || members.len() >= MOST_MEMBERS {
                return None;
            }
            self.colon()?;
            let start = self.at;
            self.value()?;
            let value = start..self.at;
            members.push(Member { name, value });
            self.blank();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(members);
            }
            self.blank();
        }
    }

    fn colon(&mut self) -> Option<()> {
        self.blank();
        self.take(b':')?;
        self.blank();
        Some(())
    }

    /// One value, with all that is in it.
    fn value(&mut self) -> Option<()> {
        // How those end that are open, innermost last.
        let mut open = SmallVec::<[u8; 32]>::new();
        loop {
            let is_empty = match self.next()? {
                b'{' => self.begins(b'}', &mut open),
                b'[' => self.begins(b']', &mut open),
                _ => {
                    self.scalar()?;
                    true
                }
            };
            if is_empty && self.behind_value(&mut open)? {
                return Some(());
            }
            if open.last() == Some(&b'}') {
                self.string()?;
                self.colon()?;
            }
        }
    }

    /// Enters an object or an array, unless it is empty and thereby over; answers that.
    fn begins(&mut self, end: u8, open: &mut SmallVec<[u8; 32]>) -> bool {
        self.at += 1;
        self.blank();
        let is_empty = self.take(end).is_some();
        if !is_empty {
            open.push(end);
        }
        is_empty
    }

    /// Goes on to where the next value or its name begins; answers whether there is none, since the outermost is over.
    fn behind_value(&mut self, open: &mut SmallVec<[u8; 32]>) -> Option<bool> {
        while let Some(end) = open.last() {
            self.blank();
            let byte = self.next()?;
            self.at += 1;
            if byte == b',' {
                self.blank();
                return Some(false);
            }
            if byte != *end {
                return None;
            }
            open.pop();
        }
        Some(true)
    }

    fn scalar(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest().starts_with(word).then(|| self.at += word.len())
    }

    /// Behind it comes what may come behind a value, or else it was none.
    fn number(&mut self) -> Option<()> {
        let _minus = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.next(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.next(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// One at the least.
    fn digits(&mut self) -> Option<()> {
        let digits = self.rest().iter();
        let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    /// Answers whether it is without escapes.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let mut is_plain = true;
        loop {
            self.at += memchr2(b'"', b'\\', self.rest())?;
            if self.take(b'"').is_some() {
                return Some(is_plain);
            }
            is_plain = false;
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Option<()> {
        self.take(b'\\')?;
        let kind = self.next()?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.rest().first_chunk::<4>()?;
                let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
                is_hex.then(|| self.at += 4)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_read_here() {
        for text in [
            "{}",
            r#" { "model" : "a" , "n" : [ ] , "o" : { } } "#,
            r#"{"messages":[{"role":"user","content":"a\n\"\u00e4\\"},[[[]],{"b":{"c":[-0.5e+3,0,12,true,null]}}]],"stream":false}"#,
        ] {
            assert!(members(Checked::of(text)).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_not() {
        for text in [
            "",
            "[]",
            "{",
            "{}}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1}"#,
            r#"{"a":{"b":1]}"#,
            r#"{"a":{1:1}}"#,
            r#"{"a":{,}}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":.5}"#,
            r#"{"a":nul}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":"\"}"#,
            r#"{"a":"b}"#,
            r#"{"a":1 2}"#,
            r#"{"a":1} {}"#,
        ] {
            assert!(members(Checked::of(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_anothers_to_read() {
        let many = (0..=MOST_MEMBERS).map(|n| format!(r#""{n}":1"#));
        let many = format!("{{{}}}", many.collect::<Vec<_>>().join(","));
        for text in ["{\n}", "{\"a\":\t1}", r#"{"\u0061":1}"#, &many] {
            assert!(members(Checked::of(text)).is_none(), "{text}");
        }
    }
}
