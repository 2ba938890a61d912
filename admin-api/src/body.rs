//! Bodies: JSON, read so that a fault can be told by its place.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http_body_util::LengthLimitError;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ApiError, Result};
use crate::idempotency::BodyDigest;

/// More than any object here needs.
const MAX_BYTES: usize = 256 << 10;
/// Deeper than anything here is, and less than what reads it from the database can.
const MAX_DEPTH: usize = 32;
/// Bodies are small: whoever takes longer doesn't mean to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A body that was understood.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let digest = request.extensions().get::<BodyDigest>().cloned();
        let reading = axum::body::to_bytes(request.into_body(), MAX_BYTES);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        let read = read.map_err(|_| ApiError::body_timeout())?;
        let bytes = read.map_err(|error| {
            let is_too_large = std::error::Error::source(&error)
                .is_some_and(|cause| cause.is::<LengthLimitError>());
            if is_too_large {
                ApiError::too_large(MAX_BYTES)
            } else {
                ApiError::invalid("", "the body broke off")
            }
        })?;
        if let Some(digest) = digest {
            digest.set(&bytes);
        }
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // An action without words of its own.
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid("", format!("the body is no JSON: {error}")))?;
    if depth(&value) > MAX_DEPTH {
        return Err(ApiError::invalid(
            "",
            format!("the body is nested more than {MAX_DEPTH} deep"),
        ));
    }
    if let Some(path) = nul(&value) {
        return Err(ApiError::invalid(
            path,
            "has a character that can't be stored: \\u0000",
        ));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(path, error.into_inner())
    })
}

/// Levels of arrays and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Where a text or a name has the one character that PostgreSQL has no place for.
fn nul(value: &Value) -> Option<String> {
    let within = |step: String, value: &Value| {
        let rest = nul(value)?;
        let dot = if rest.is_empty() || rest.starts_with('[') {
            ""
        } else {
            "."
        };
        Some(format!("{step}{dot}{rest}"))
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| within(format!("[{index}]"), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let shown = name.replace('\0', "\\u0000");
            if name.contains('\0') {
                return Some(shown);
            }
            within(shown, value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A member that may be absent, and isn't null if it is there.
pub(crate) fn some<'de, T, D>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A member that may be absent, null, or there: absent and null are not the same in an update.
pub(crate) fn given<'de, T, D>(deserializer: D) -> std::result::Result<Option<Option<T>>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        #[expect(dead_code, reason = "only read")]
        name: String,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        ips: Vec<std::net::IpAddr>,
    }

    fn fault(body: &[u8]) -> Value {
        let error = parse::<Input>(body).unwrap_err();
        let body = error.body("");
        let error = &body["error"];
        json!([error["message"], error["details"]["path"]])
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        for (body, message, path) in [
            (
                &b"{\"name\": 5}"[..],
                "name: invalid type: integer `5`, expected a string",
                "name",
            ),
            (
                b"{\"name\": \"a\", \"ips\": [\"::1\", \"x\"]}",
                "ips[1]: invalid IP address syntax",
                "ips[1]",
            ),
            (
                b"{\"name\": \"a\", \"nmae\": 1}",
                "nmae: unknown field `nmae`, expected `name` or `ips`",
                "nmae",
            ),
            (b"", "missing field `name`", "."),
            (
                b"[1",
                "the body is no JSON: EOF while parsing a list at line 1 column 2",
                "",
            ),
            (
                b"{\"name\": \"\xff\"}",
                "the body is no JSON: invalid unicode code point at line 1 column 11",
                "",
            ),
            (
                b"{\"ips\": [{\"a\": \"\\u0000\"}]}",
                "ips[0].a: has a character that can't be stored: \\u0000",
                "ips[0].a",
            ),
        ] {
            assert_eq!(
                fault(body),
                json!([message, path]),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
