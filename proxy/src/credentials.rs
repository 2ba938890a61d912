//! Finding the caller's key among the headers, and taking it out of them.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::failure::Failure;

const X_API_KEY: &str = "x-api-key";
const BEARER: &str = "bearer ";

/// The key the caller sent: in `x-api-key`, else as a bearer token. Clients may send both, with one value.
///
/// # Errors
/// If there is none, or there are two different ones.
pub(crate) fn find(headers: &HeaderMap) -> Result<&[u8], Failure> {
    let mut found: Option<&[u8]> = None;
    let named = headers
        .get_all(X_API_KEY)
        .iter()
        .map(|value| value.as_bytes().trim_ascii());
    let bearer = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|value| bearer_token(value.as_bytes()));
    // An empty header beside a real one is what a client sends whose other credential is not set.
    for key in named.chain(bearer).filter(|key| !key.is_empty()) {
        match found {
            Some(first) if first != key => return Err(Failure::KeyAmbiguous),
            _ => found = Some(key),
        }
    }
    found.ok_or(Failure::KeyMissing)
}

/// Whether a header is one of the two. Whatever they hold, they stay here: the upstream must see our credential and no other.
pub(crate) fn is_one(name: &str) -> bool {
    matches!(name, X_API_KEY | "authorization")
}

fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    scheme
        .eq_ignore_ascii_case(BEARER.as_bytes())
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: Result<&str, &str>) {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect();
        let found = find(&map)
            .map(|key| String::from_utf8(key.to_vec()).unwrap())
            .map_err(|failure| failure.error_code().to_owned());
        assert_eq!(
            found,
            expected.map(str::to_owned).map_err(str::to_owned),
            "{headers:?}"
        );
    }

    #[test]
    fn either_header_carries_the_key() {
        check(&[("x-api-key", "mw_1")], Ok("mw_1"));
        check(&[("authorization", "Bearer mw_1")], Ok("mw_1"));
        check(&[("authorization", "bearer  mw_1 ")], Ok("mw_1"));
        check(
            &[("x-api-key", "mw_1"), ("authorization", "Bearer mw_1")],
            Ok("mw_1"),
        );
    }

    #[test]
    fn an_empty_header_beside_a_key_does_not_count() {
        check(
            &[("x-api-key", ""), ("authorization", "Bearer mw_1")],
            Ok("mw_1"),
        );
        check(
            &[("x-api-key", "mw_1"), ("authorization", "Bearer ")],
            Ok("mw_1"),
        );
    }

    #[test]
    fn two_different_keys_are_refused() {
        check(
            &[("x-api-key", "mw_1"), ("authorization", "Bearer mw_2")],
            Err("key_ambiguous"),
        );
    }

    #[test]
    fn without_a_key_there_is_no_caller() {
        check(&[], Err("key_missing"));
        check(&[("x-api-key", " ")], Err("key_missing"));
        check(&[("authorization", "Basic bXc6MQ==")], Err("key_missing"));
        check(&[("authorization", "Bear")], Err("key_missing"));
    }
}
