//! What of a message's headers belongs to the connection and stays here (RFC 9110, section 7.6.1).
//!
//! Everything else is passed on: this is a deny-list and must stay one, since the API grows headers.

use http::header::{CONNECTION, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::admission::APPROVED_MCP;
use crate::credentials;

/// The gateway's own id of the request, on every answer.
pub(crate) const GATEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-mindweave-request-id");
/// The API's id of the request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Whether the API's own clients try again by themselves.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Families, behind `anthropic-`, that describe the limits of the upstream's key, which many callers share.
const UPSTREAM_LIMITS: [&str; 3] = ["ratelimit-", "priority-", "fast-"];

/// Makes a request's headers fit to be forwarded: without what belongs to the connection or to the gateway, and without the
/// caller's key.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    // We do relay trailers, so a caller that takes them may say so upstream.
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip(headers, is_for_gateway);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a request's header is for the gateway alone.
fn is_for_gateway(name: &str) -> bool {
    // `Expect` is answered here, when the body is asked for.
    matches!(name, "host" | "expect") || name == APPROVED_MCP || credentials::is_one(name)
}

/// Whether a field may stand behind a request's body: none that would mean something else there than where it was looked at
/// (RFC 9110, section 6.5.1).
pub(crate) fn may_trail(name: &str) -> bool {
    let is_framing = matches!(
        name,
        "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "max-forwards"
            | "set-cookie"
            | "trailer"
    );
    !is_framing && !is_of_connection(name) && !is_for_gateway(name)
}

/// Makes an answer's headers fit for the caller.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip(headers, is_of_upstream);
}

/// Whether a header of an answer is about the upstream as only the gateway knows it.
pub(crate) fn is_of_upstream(name: &str) -> bool {
    // `Alt-Svc` names other ways to the upstream: ways past the gateway.
    name == "alt-svc" || is_upstream_limit(name)
}

fn is_upstream_limit(name: &str) -> bool {
    let family = name.strip_prefix("anthropic-");
    family.is_some_and(|name| {
        UPSTREAM_LIMITS
            .iter()
            .any(|family| name.starts_with(family))
    })
}

/// Removes what belongs to the connection, and what else is named.
fn strip(headers: &mut HeaderMap, is_named: impl Fn(&str) -> bool) {
    let mut gone: SmallVec<[HeaderName; 8]> = SmallVec::new();
    for name in headers.keys() {
        if is_of_connection(name.as_str()) || is_named(name.as_str()) {
            gone.push(name.clone());
        }
    }
    if gone.contains(&CONNECTION) {
        gone.extend(names_in(headers, CONNECTION));
    }
    for name in gone {
        headers.remove(name);
    }
}

fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The names that a header lists.
pub(crate) fn names_in(
    headers: &HeaderMap,
    header: HeaderName,
) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(header).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
}

/// Bytes that the headers take on the wire, more or less: names, values, and four for `: ` and the line's end.
pub(crate) fn wire_size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn headers_of_the_connection_stay_here_with_those_it_names() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("expect", "100-continue"),
            ("host", "gateway"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
            ("x-unheard-of", "kept"),
        ]);
        strip_request(&mut headers);
        let expected = map(&[
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
            ("x-unheard-of", "kept"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_caller_that_takes_trailers_may_say_so() {
        let mut headers = map(&[
            ("te", "trailers"),
            ("connection", "te"),
            ("trailer", "x-sum"),
        ]);
        strip_request(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers"), ("trailer", "x-sum")]));
    }

    #[test]
    fn the_limits_of_the_shared_key_do_not_reach_the_caller() {
        let mut headers = map(&[
            ("anthropic-ratelimit-requests-limit", "4000"),
            ("anthropic-ratelimit-unified-status", "allowed"),
            ("anthropic-priority-input-tokens-limit", "1"),
            ("anthropic-organization-id", "org"),
            ("alt-svc", "h3=\":443\""),
            ("retry-after", "7"),
        ]);
        strip_response(&mut headers);
        assert_eq!(
            headers,
            map(&[("anthropic-organization-id", "org"), ("retry-after", "7")])
        );
    }
}
