//! Where a request belongs, told from its method and path.

use std::borrow::Cow;

use domain::client_address::is_trusted;
use domain::{Endpoint, ObjectKind, ObjectPath};
use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Uri};
use ipnet::IpNet;

use crate::pipeline::Peer;

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Part of the API: forwarded to this path and query.
    Api {
        endpoint: Endpoint,
        path: PathAndQuery,
        /// What it is about, if that is an object or all of a kind.
        object: Option<ObjectRoute>,
    },
    /// A client asking whether anybody is there.
    Probe,
    /// Nothing of ours.
    Unknown,
}

/// The objects that a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ObjectRoute {
    pub(crate) kind: ObjectKind,
    /// None of a collection.
    pub(crate) id: Option<String>,
}

/// Tells the route.
pub(crate) fn route(method: &Method, uri: &Uri) -> Route {
    let Some(path) = uri.path_and_query() else {
        return Route::Unknown;
    };
    if is_probe(method, path.path()) {
        return Route::Probe;
    }
    // The one would have the upstream repeat our credential to the caller, the other make a tunnel of the connection to it.
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Route::Unknown;
    }
    let path = collapsed(path);
    let Some(meaning) = meaning(path.path()) else {
        return Route::Unknown;
    };
    let Some(endpoint) = Endpoint::of_path(&meaning) else {
        return Route::Unknown;
    };
    let object = ObjectPath::of(&meaning).map(|object| ObjectRoute {
        kind: object.kind,
        id: object.id.map(str::to_owned),
    });
    Route::Api {
        endpoint,
        path,
        object,
    }
}

/// Whether a path leads to agents or their deployments, which say with which model they will work.
pub(crate) fn is_of_agents(path: &str) -> bool {
    let mut path = path;
    while let Some(rest) = path.strip_prefix("/v1").filter(|it| it.starts_with("/v1/")) {
        path = rest;
    }
    let Some(meaning) = meaning(path) else {
        return false;
    };
    let kind = meaning
        .strip_prefix("/v1/")
        .and_then(|rest| rest.split('/').next());
    matches!(kind, Some("agents" | "deployments"))
}

/// The path as a server may take it that decodes escapes and merges slashes: what a request is metered by
/// must not depend on its spelling. `None` for dot segments, which lead who knows where.
fn meaning(path: &str) -> Option<Cow<'_, str>> {
    let plain = !path.contains(['%', '\\']) && !path.contains("//") && !path.contains("/.");
    if plain {
        return Some(Cow::Borrowed(path));
    }
    let decoded = percent_decoded(path);
    let mut meaning = String::with_capacity(decoded.len());
    for segment in decoded
        .split(['/', '\\'])
        .filter(|segment| !segment.is_empty())
    {
        if segment == "." || segment == ".." {
            return None;
        }
        meaning.push('/');
        meaning.push_str(segment);
    }
    Some(Cow::Owned(meaning))
}

fn percent_decoded(path: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let escape = (*first == b'%')
            .then(|| digit(rest.first()).zip(digit(rest.get(1))))
            .flatten();
        if let Some((high, low)) = escape {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            bytes = rest.get(2..).unwrap_or_default();
        } else {
            decoded.push(*first);
            bytes = rest;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn is_probe(method: &Method, path: &str) -> bool {
    match path {
        "/" => method == Method::HEAD,
        "/api/hello" => method == Method::HEAD || method == Method::GET,
        _ => false,
    }
}

/// A base URL that ends in `/v1` makes clients ask for `/v1/v1/...`; what they mean is clear.
fn collapsed(path: &PathAndQuery) -> PathAndQuery {
    let mut text = path.as_str();
    while let Some(rest) = text
        .strip_prefix("/v1")
        .filter(|rest| rest.starts_with("/v1/"))
    {
        text = rest;
    }
    if text.len() == path.as_str().len() {
        path.clone()
    } else {
        text.parse().unwrap_or_else(|_| path.clone())
    }
}

/// The origin under which the caller reached us: for URLs in answers that must lead back here.
pub(crate) fn own_origin(head: &Parts, peer: Peer, trusted: &[IpNet]) -> String {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let believed = is_trusted(peer.address.to_canonical(), trusted);
    let forwarded = |name: &str| believed.then(|| header(name)).flatten().map(first_listed);
    let scheme = forwarded("x-forwarded-proto").unwrap_or(if peer.tls { "https" } else { "http" });
    let host = forwarded("x-forwarded-host")
        .or_else(|| header(HOST.as_str()))
        .or_else(|| head.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    format!("{scheme}://{host}")
}

fn first_listed(value: &str) -> &str {
    value.split(',').next().unwrap_or(value).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, uri: &'static str, expected: &str) {
        let found = match route(method, &Uri::from_static(uri)) {
            Route::Api { path, .. } => path.to_string(),
            Route::Probe => "probe".to_owned(),
            Route::Unknown => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{method} {uri}");
    }

    #[test]
    fn the_api_lies_below_v1_and_doubled_prefixes_collapse() {
        check(
            &Method::POST,
            "/v1/messages?beta=true",
            "/v1/messages?beta=true",
        );
        check(
            &Method::POST,
            "/v1/v1/messages?x=/v1/v1/",
            "/v1/messages?x=/v1/v1/",
        );
        check(&Method::GET, "/v1/v1/v1/models", "/v1/models");
        check(&Method::GET, "/v1/unheard/of", "/v1/unheard/of");
        check(&Method::GET, "/v1/v1x", "/v1/v1x");
        check(&Method::GET, "/v2/messages", "unknown");
        check(&Method::GET, "/", "unknown");
    }

    #[test]
    fn spelling_changes_neither_the_meaning_nor_the_forwarded_path() {
        for path in [
            "/v1/%6dessages",
            "/v1//messages",
            "//v1/messages",
            "/v1/messages/",
            "/v1%2Fmessages",
        ] {
            let Route::Api {
                endpoint,
                path: forwarded,
                ..
            } = route(&Method::POST, &Uri::from_static(path))
            else {
                panic!("{path} is no route");
            };
            assert_eq!((endpoint, forwarded.as_str()), (Endpoint::Messages, path));
        }
        check(&Method::GET, "/v1/files/a%20b%zz", "/v1/files/a%20b%zz");
    }

    #[test]
    fn agents_are_told_however_their_path_is_spelled() {
        for (path, expected) in [
            ("/v1/agents", true),
            ("/v1/v1/agents/agent_1", true),
            ("//v1/%61gents/", true),
            ("/v1/deployments/d/run", true),
            ("/v1/skills", false),
            ("/v1/agentsx", false),
            ("/v1/files/agents", false),
        ] {
            assert_eq!(is_of_agents(path), expected, "{path}");
        }
    }

    #[test]
    fn dot_segments_and_trace_lead_nowhere() {
        for path in [
            "/v1/../messages",
            "/v1/./messages",
            "/v1/%2e%2e/x",
            "/v1/x/..%2Fmessages",
            "/v1/x\\..\\messages",
        ] {
            check(&Method::POST, path, "unknown");
        }
        check(&Method::TRACE, "/v1/messages", "unknown");
        check(&Method::CONNECT, "/v1/messages", "unknown");
        check(&Method::GET, "/v1/files/.hidden", "/v1/files/.hidden");
    }

    #[test]
    fn probes_are_answered_here() {
        check(&Method::HEAD, "/", "probe");
        check(&Method::HEAD, "/api/hello", "probe");
        check(&Method::GET, "/api/hello", "probe");
        check(&Method::POST, "/api/hello", "unknown");
    }

    #[test]
    fn the_own_origin_is_what_the_caller_used() {
        let head = |pairs: &[(&str, &str)]| {
            let builder = pairs
                .iter()
                .fold(http::Request::builder(), |builder, (name, value)| {
                    builder.header(*name, *value)
                });
            builder.body(()).unwrap().into_parts().0
        };
        let peer = Peer {
            address: "10.0.0.1".parse().unwrap(),
            tls: false,
        };
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let forwarded = head(&[
            ("host", "gw:8080"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "ai.example"),
        ]);
        assert_eq!(own_origin(&forwarded, peer, &trusted), "https://ai.example");
        assert_eq!(own_origin(&forwarded, peer, &[]), "http://gw:8080");
    }
}
