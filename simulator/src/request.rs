//! Reading a request: its credential, version and body.

use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::api_error::{ApiError, Fault};

/// Messages and token counts, as the API bounds them.
pub(crate) const MAX_JSON_BYTES: usize = 32 << 20;
/// Batches, as the API bounds them.
pub(crate) const MAX_BATCH_BYTES: usize = 256 << 20;
/// Files; the API takes more, but here they live in memory.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;

/// Any non-empty credential passes.
pub(crate) fn authenticate(headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(key) = headers.get("x-api-key") {
        return if key.is_empty() {
            Err(Fault::Auth.into())
        } else {
            Ok(())
        };
    }
    let Some(authorization) = headers.get(AUTHORIZATION) else {
        return Err(ApiError::new(Fault::Auth, "x-api-key header is required"));
    };
    let (scheme, token) = authorization
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() {
        Ok(())
    } else {
        Err(ApiError::new(Fault::Auth, "Invalid bearer token"))
    }
}

/// The `anthropic-version` that every `/v1` request must name.
pub(crate) fn version(headers: &HeaderMap) -> Result<&str, ApiError> {
    headers
        .get("anthropic-version")
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::invalid("anthropic-version: header is required"))
}

pub(crate) async fn read_body(body: Incoming, max_bytes: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge.into()),
        Err(_) => Err(ApiError::invalid("The request body could not be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::authenticate;

    #[test]
    fn a_key_or_a_bearer_token_is_needed() {
        let check = |headers: &[(&'static str, &str)], passes: bool| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(authenticate(&headers).is_ok(), passes, "{headers:?}");
        };
        check(&[], false);
        check(&[("x-api-key", "sk-1")], true);
        check(&[("x-api-key", "")], false);
        check(&[("authorization", "Bearer sk-1")], true);
        check(&[("authorization", "bearer sk-1")], true);
        check(&[("authorization", "Bearer ")], false);
        check(&[("authorization", "Basic abc")], false);
    }
}
