//! Values as fields of binary COPY, each with its length.
//!
//! Whatever the value, the field is one that the database accepts: NUL characters are replaced, texts cut, numbers
//! clamped to their column's range.

use std::io;

use bytes::buf::Writer;
use bytes::{BufMut, BytesMut};
use memchr::memmem;

fn put_length(row: &mut BytesMut, length: usize) {
    // A row's texts are cut and its usage object bounded, far below 2 GiB.
    row.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
}

pub(crate) fn put_field(row: &mut BytesMut, value: &[u8]) {
    put_length(row, value.len());
    row.put_slice(value);
}

pub(crate) fn put_null(row: &mut BytesMut) {
    row.put_i32(-1);
}

pub(crate) fn put_optional(row: &mut BytesMut, value: Option<&[u8; 16]>) {
    match value {
        Some(value) => put_field(row, value),
        None => put_null(row),
    }
}

pub(crate) fn put_count(row: &mut BytesMut, count: u64) {
    put_field(row, &i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes());
}

pub(crate) fn put_optional_text(row: &mut BytesMut, text: Option<&str>, max_chars: usize) {
    match text {
        Some(text) => put_text(row, text, max_chars),
        None => put_null(row),
    }
}

pub(crate) fn put_text(row: &mut BytesMut, text: &str, max_chars: usize) {
    let clean = text.len() <= max_chars && !text.as_bytes().contains(&0);
    if clean {
        put_field(row, text.as_bytes());
    } else {
        let text: String = text
            .chars()
            .take(max_chars)
            .map(|c| if c == '\0' { '\u{fffd}' } else { c })
            .collect();
        put_field(row, text.as_bytes());
    }
}

/// JSON, as it is written.
pub(crate) fn put_jsonb(
    row: &mut BytesMut,
    write: impl FnOnce(&mut Writer<&mut BytesMut>) -> io::Result<()>,
) {
    const JSONB_VERSION: u8 = 1;
    let start = row.len();
    put_length(row, 0);
    row.put_u8(JSONB_VERSION);
    let text = row.len();
    // Nothing in an event can't be written.
    if write(&mut (&mut *row).writer()).is_err() {
        row.truncate(text);
        row.put_slice(b"null");
    }
    replace_nul(row.get_mut(text..).unwrap_or_default());
    let length = i32::try_from(row.len() - start - 4).unwrap_or(i32::MAX);
    if let Some(place) = row.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// jsonb refuses U+0000, which JSON has as an escape and no other way. What takes its place is as long.
fn replace_nul(json: &mut [u8]) {
    const NUL: &[u8] = b"\\u0000";
    let mut behind = 0;
    while let Some(found) = json.get(behind..).and_then(|rest| memmem::find(rest, NUL)) {
        let at = behind + found;
        behind = at + NUL.len();
        // Behind an odd number of backslashes its own is text.
        let before = json.get(..at).unwrap_or_default().iter().rev();
        let is_escape = before.take_while(|byte| **byte == b'\\').count() % 2 == 0;
        if let Some(escape) = json.get_mut(at..behind).filter(|_| is_escape) {
            escape.copy_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_where_it_is_one_and_nothing_else_is() {
        for (json, expected) in [
            (r#"{"a\u0000":"\u0000"}"#, r#"{"a\ufffd":"\ufffd"}"#),
            (r#""\\u0000""#, r#""\\u0000""#),
            (r#""\\\u0000""#, r#""\\\ufffd""#),
            (r#""\u0000\u0000x\u00001""#, r#""\ufffd\ufffdx\ufffd1""#),
            (r#""\u0001""#, r#""\u0001""#),
            ("", ""),
        ] {
            let mut bytes = json.as_bytes().to_vec();
            replace_nul(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{json}");
        }
    }
}
