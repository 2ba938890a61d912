//! JSON strings as text.

use std::borrow::Cow;

/// The bytes of a whole JSON string's text; borrowed unless it has escapes. `None` of any other value.
pub(super) fn bytes(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let text: String = serde_json::from_slice(json).ok()?;
    Some(Cow::Owned(text.into_bytes()))
}

/// The text of a whole JSON string, cut to at most `limit` bytes between characters.
pub(super) fn text(json: &[u8], limit: usize) -> Option<String> {
    let bytes = bytes(json)?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let end = text.floor_char_boundary(limit);
    text.get(..end).map(str::to_owned)
}

/// The text of the string that `json` begins with and what follows it, if it is whole and has no escapes.
pub(super) fn leading(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = json.strip_prefix(b"\"")?;
    let end = inner.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    let (text, rest) = inner.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_other_values_are_no_text() {
        for (json, expected) in [
            (r#""usage""#, Some("usage")),
            (r#""us\u0061ge""#, Some("usage")),
            (r#""""#, Some("")),
            (r#"""#, None),
            ("null", None),
            (r#""\x""#, None),
        ] {
            assert_eq!(text(json.as_bytes(), 9).as_deref(), expected, "{json}");
        }
        assert_eq!(text(b"\"\xff\"", 9), None);
    }

    #[test]
    fn a_bound_falls_between_characters() {
        assert_eq!(text("\"aé\"".as_bytes(), 2).as_deref(), Some("a"));
        assert_eq!(text("\"aé\"".as_bytes(), 3).as_deref(), Some("aé"));
    }

    #[test]
    fn only_a_whole_and_simple_string_leads() {
        for (json, expected) in [
            (r#""ab":1"#, Some(("ab", ":1"))),
            (r#""","#, Some(("", ","))),
            (r#""ab"#, None),
            (r#""a\"b""#, None),
            ("1", None),
        ] {
            let expected = expected.map(|(string, rest)| (string.as_bytes(), rest.as_bytes()));
            assert_eq!(leading(json.as_bytes()), expected, "{json}");
        }
    }
}
