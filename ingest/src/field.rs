//! Values as fields of binary COPY, each with its length.
//!
//! Whatever the value, the field is one that the database accepts: NUL characters are replaced, texts cut, numbers
//! clamped to their column's range.

use std::io;

use bytes::buf::Writer;
use bytes::{BufMut, BytesMut};
use memchr::memmem;
use serde_json::Value;

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
    // jsonb refuses U+0000, which JSON has as this escape and no other way.
    let written = row.get(text..).unwrap_or_default();
    if memmem::find(written, b"\\u0000").is_some() {
        let tree = serde_json::from_slice(written).unwrap_or_default();
        row.truncate(text);
        row.put_slice(without_nul_escapes(&tree).to_string().as_bytes());
    }
    let length = i32::try_from(row.len() - start - 4).unwrap_or(i32::MAX);
    if let Some(place) = row.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn without_nul_escapes(value: &Value) -> Value {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.iter().map(without_nul_escapes).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (clean(key), without_nul_escapes(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
