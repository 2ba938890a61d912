//! Bodies of requests.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::fmt::Write as _;

/// A conversation of about `bytes` bytes, the model behind it as the Python SDK has it.
#[must_use]
pub fn conversation(bytes: usize) -> Vec<u8> {
    let turn = "It was late, and \\\"nobody\\\" knew the way;\\nthe lamps went out one by one. "
        .repeat(12);
    let mut body = String::from(r#"{"max_tokens":1024,"messages":["#);
    while body.len() < bytes {
        write!(
            body,
            r#"{{"role":"user","content":[{{"type":"text","text":"{turn}"}}]}},"#
        )
        .unwrap();
    }
    body.push_str(
        r#"{"role":"user","content":"And then?"}],"model":"claude-sonnet-5-5","stream":true}"#,
    );
    body.into_bytes()
}
