//! What of a message's headers belongs to the connection and stays here (RFC 9110, section 7.6.1).
//!
//! Everything else is passed on: this is a deny-list and must stay one, since the API grows headers.

use http::header::{ALT_SVC, CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admission::APPROVED_MCP;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");

/// The gateway's own id of the request, on every answer.
pub(crate) const GATEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-mindweave-request-id");
/// The API's id of the request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Whether the API's own clients try again by themselves.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Families that describe the limits of the upstream's key, which many callers share.
const UPSTREAM_LIMITS: [&str; 3] = [
    "anthropic-ratelimit-",
    "anthropic-priority-",
    "anthropic-fast-",
];

/// Makes a request's headers fit to be forwarded; the credential is another matter.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    // We do relay trailers, so a caller that takes them may say so upstream.
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip_hop_by_hop(headers);
    headers.remove(HOST);
    headers.remove(APPROVED_MCP);
    // Answered here, when the body is asked for.
    headers.remove(EXPECT);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Makes an answer's headers fit for the caller.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    // It names other ways to the upstream: ways past the gateway.
    headers.remove(ALT_SVC);
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            UPSTREAM_LIMITS
                .iter()
                .any(|family| name.as_str().starts_with(family))
        })
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
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
