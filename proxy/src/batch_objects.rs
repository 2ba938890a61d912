//! `results_url` of batch objects, made to lead back here: the only body that is ever edited.
//!
//! The API answers with an absolute URL of its own, and clients follow it with the key they have. Left alone,
//! results would go past the gateway, and with a key that the API doesn't know.

use memchr::memmem;

const FIELD: &[u8] = b"\"results_url\"";
const BATCHES: &[u8] = b"/v1/messages/batches/";

/// Replaces the origin of every `results_url`; everything else stays byte for byte. `None` if there is none.
///
/// The search is textual and exact: inside of a JSON string the quotes of the field's name would be escaped.
pub(crate) fn rewrite_results_urls(body: &[u8], origin: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    for name in memmem::find_iter(body, FIELD) {
        let Some((start, end)) = foreign_origin(body, name + FIELD.len()) else {
            continue;
        };
        out.extend_from_slice(body.get(copied..start)?);
        out.extend_from_slice(origin.as_bytes());
        copied = end;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(body.get(copied..)?);
    Some(out)
}

/// Where the origin (and path prefix) of the URL lies whose field's name ends at `at`.
fn foreign_origin(body: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = body.get(at..)?;
    let value = rest
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    let start = body.len() - value.len();
    let url = value.get(..memchr::memchr(b'"', value)?)?;
    let path = memmem::find(url, BATCHES)?;
    Some((start, start + path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<&str>) {
        let rewritten = rewrite_results_urls(body.as_bytes(), "http://gw:1");
        assert_eq!(
            rewritten
                .map(|body| String::from_utf8(body).unwrap())
                .as_deref(),
            expected,
            "{body}"
        );
    }

    #[test]
    fn the_origin_is_replaced_and_nothing_else() {
        check(
            r#"{"id":"b", "results_url" : "https://api.anthropic.com/v1/messages/batches/b/results","x":1}"#,
            Some(
                r#"{"id":"b", "results_url" : "http://gw:1/v1/messages/batches/b/results","x":1}"#,
            ),
        );
        check(
            r#"{"data":[{"results_url":"https://a/v1/messages/batches/1/results"},{"results_url":null},{"results_url":"https://a/pfx/v1/messages/batches/2/results"}]}"#,
            Some(
                r#"{"data":[{"results_url":"http://gw:1/v1/messages/batches/1/results"},{"results_url":null},{"results_url":"http://gw:1/v1/messages/batches/2/results"}]}"#,
            ),
        );
    }

    #[test]
    fn a_body_without_one_is_left_alone() {
        for body in [
            "",
            r#"{"results_url":null}"#,
            r#"{"results_url":"#,
            r#"{"results_url":"https://elsewhere/"}"#,
            r#"{"text":"\"results_url\":\"https://a/v1/messages/batches/b/results\""}"#,
        ] {
            check(body, None);
        }
    }
}
