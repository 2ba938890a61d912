//! Heads as upstreams write them: HTTP/1.1, every line ended by CRLF, nothing before the first.
//!
//! Guarantees: what is read of such a head is what `httparse` reads of it, but for names, which whoever takes them has to check. Any
//! other head is `httparse`'s to read, or to refuse.

use memchr::memchr;
use memchr::memmem;

/// One that is all there.
pub(super) struct PlainHead<'a> {
    /// How long it is.
    pub(super) bytes: usize,
    pub(super) code: u16,
    /// Its headers, each with its CRLF.
    lines: &'a [u8],
}

impl<'a> PlainHead<'a> {
    /// None of a head that isn't plain; whether its headers are, they say themselves.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let rest = bytes.strip_prefix(b"HTTP/1.1 ")?;
        let end = memmem::find(bytes, END)? + END.len();
        let (digits, behind) = rest.split_first_chunk::<3>()?;
        let digit = |code: u16, digit: &u8| {
            let is_digit = digit.is_ascii_digit();
            is_digit.then(|| code * 10 + u16::from(digit - b'0'))
        };
        let code = digits.iter().try_fold(0, digit)?;
        let (reason, _) = line(behind)?;
        let is_reason = reason.is_empty() || reason.first() == Some(&b' ');
        if !is_reason || !reason.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let start = bytes.len() - behind.len() + reason.len() + 2;
        Some(Self {
            bytes: end,
            code,
            // Less the empty line.
            lines: bytes.get(start..end - 2)?,
        })
    }

    /// Names as they were sent, with their values, in order; none in the place of a line that isn't plain.
    pub(super) fn headers(&self) -> impl Iterator<Item = Option<Header<'a>>> {
        let mut lines = self.lines;
        std::iter::from_fn(move || {
            if lines.is_empty() {
                return None;
            }
            let found = header(lines);
            lines = found.map_or(&[], |(_, rest)| rest);
            Some(found.map(|(header, _)| header))
        })
    }
}

/// A name and its value.
type Header<'a> = (&'a [u8], &'a [u8]);

/// The first, and what is behind its line.
fn header(lines: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let mut bytes = lines.iter();
    let end = bytes.position(|byte| matches!(byte, b':' | b'\n'))?;
    let (name, behind) = lines.split_at_checked(end)?;
    let (value, rest) = line(behind.strip_prefix(b":")?)?;
    is_text(value).then_some(((name, without_blanks(value)), rest))
}

/// Whether there are no control characters but tabs. Looks at every byte, whatever it finds: so it looks at many at once.
fn is_text(value: &[u8]) -> bool {
    let is_control =
        |byte: u8| (u8::from(byte < b' ') & u8::from(byte != b'\t')) | u8::from(byte == 0x7f);
    value
        .iter()
        .fold(0, |found, byte| found | is_control(*byte))
        == 0
}

/// The first line, and what is behind it; none if it doesn't end as a line does.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end + 1)?;
    Some((line.strip_suffix(b"\r\n")?, rest))
}

/// Without what HTTP takes for blanks around a value.
fn without_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Headers = Vec<(String, Vec<u8>)>;

    /// What is read of a head; none of one that is refused.
    type Read = Option<(usize, u16, Headers)>;

    /// None of what isn't plain.
    fn plain(bytes: &[u8]) -> Option<Read> {
        let head = PlainHead::read(bytes)?;
        let mut headers = Headers::new();
        for header in head.headers() {
            let (name, value) = header?;
            let Ok(name) = http::HeaderName::from_bytes(name) else {
                return Some(None);
            };
            headers.push((name.as_str().to_owned(), value.to_vec()));
        }
        Some(Some((head.bytes, head.code, headers)))
    }

    /// None of what isn't all there.
    fn by_library(bytes: &[u8]) -> Option<Read> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return None,
            Err(_) => return Some(None),
        };
        let headers = response.headers.iter();
        let headers =
            headers.map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()));
        Some(Some((length, response.code?, headers.collect())))
    }

    #[test]
    fn what_upstreams_write_is_plain() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-A:  b c \r\nx-empty:\r\n\r\n{}";
        let (length, code, headers) = plain(text).unwrap().unwrap();
        assert_eq!((length, code), (text.len() - 2, 200));
        let named = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
        let expected = [
            ("content-type", "application/json"),
            ("x-a", "b c"),
            ("x-empty", ""),
        ];
        assert_eq!(headers, expected.map(named));
        assert!(plain(b"HTTP/1.1 200\r\n\r\n").is_some());
    }

    #[test]
    fn what_else_there_is_is_not() {
        for text in [
            "HTTP/1.1 200 OK\r\na: b\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 O\u{7}K\r\n\r\n",
            "HTTP/1.1 200 OK\na: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\nb: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\n\nb: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n\n{\"a\":1}\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\u{0}\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n",
        ] {
            assert!(plain(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_plain_the_library_reads_alike(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 "), Just("200"), Just(" "), Just("\t"), Just("\r"), Just("\n"),
                    Just("\r\n"), Just("\r\n\r\n"), Just(":"), Just("a: b\r\n"), Just("x-Y"), Just("\u{e9}"), Just("\u{7f}"),
                    Just("\""), Just("\u{b}"), Just("\u{c}"), Just("c:  d \t\r\n"), Just("("), Just("\0"), Just("d")
                ],
                0..10,
            ),
            is_begun in any::<bool>(),
            is_ended in any::<bool>(),
        ) {
            let begin = if is_begun { "HTTP/1.1 529 Overloaded\r\n" } else { "" };
            let text = format!("{begin}{}{}", parts.concat(), if is_ended { "\r\n\r\n" } else { "" });
            if let Some(read) = plain(text.as_bytes()) {
                prop_assert_eq!(Some(read), by_library(text.as_bytes()));
            }
        }
    }
}
