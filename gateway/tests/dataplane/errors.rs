//! Every error of the gateway's own: in the API's envelope, with both ids, counted, and without a row where
//! nothing was admitted.

mod bodies;
mod crowd;
mod keys;
mod upstream;

use testkit::client::Answer;

/// What a refusal must say.
#[derive(Debug, Clone, Copy)]
struct Expected {
    status: u16,
    kind: &'static str,
    code: &'static str,
}

const fn expected(status: u16, kind: &'static str, code: &'static str) -> Expected {
    Expected { status, kind, code }
}

/// Checks all that every error of the gateway's own has in common.
fn check(case: &str, answer: &Answer, expected: Expected) {
    assert_eq!(
        answer.status.as_u16(),
        expected.status,
        "{case}: the status; the body is {:?}",
        answer.body
    );
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "{case}: the content type"
    );
    let body = answer.json();
    assert_eq!(body["type"], "error", "{case}: the envelope: {body}");
    assert_eq!(body["error"]["type"], expected.kind, "{case}: {body}");
    assert_eq!(answer.error_code(), expected.code, "{case}: {body}");
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|m| !m.is_empty()),
        "{case}: a message for a person: {body}"
    );
    let id = answer.header("x-mindweave-request-id");
    let version = uuid::Uuid::parse_str(id)
        .unwrap_or_default()
        .get_version_num();
    assert_eq!(version, 7, "{case}: the gateway's id is a UUIDv7: {id:?}");
    assert_eq!(answer.header("request-id"), id, "{case}: our id stands in");
    assert_eq!(body["request_id"], id, "{case}: the envelope names the id");
}
