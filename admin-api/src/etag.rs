//! Optimistic concurrency: an object's `ETag` is when it was last changed, and a change may ask that it still be so.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::{ApiError, Result};

/// What has an `ETag`.
pub(crate) trait Versioned {
    fn updated_at(&self) -> DateTime<Utc>;
}

/// An object, answered with its `ETag`.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) StatusCode, pub(crate) T);

impl<T> Tagged<T> {
    pub(crate) fn new(status: StatusCode, object: T) -> Self {
        Self(status, object)
    }

    pub(crate) fn ok(object: T) -> Self {
        Self::new(StatusCode::OK, object)
    }
}

impl<T: Serialize + Versioned> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(tag(self.1.updated_at()));
        let mut response = (self.0, Json(self.1)).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

fn tag(updated_at: DateTime<Utc>) -> String {
    format!("\"{:x}\"", updated_at.timestamp_micros())
}

/// What `If-Match` asks for.
#[derive(Debug, Clone)]
pub(crate) struct IfMatch(Option<String>);

impl IfMatch {
    /// Asks for nothing.
    pub(crate) fn any() -> Self {
        Self(None)
    }

    /// Refuses if the object isn't the one that was meant.
    pub(crate) fn check(&self, object: &impl Versioned) -> Result<()> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let tag = tag(object.updated_at());
        let mut wanted = wanted.split(',').map(str::trim);
        if wanted.any(|wanted| wanted == "*" || wanted == tag) {
            return Ok(());
        }
        Err(ApiError::stale())
    }

    /// Refuses if one was meant, and there is none.
    pub(crate) fn check_none(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |_| Err(ApiError::stale()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let values = parts.headers.get_all(IF_MATCH).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        Ok(Self((!texts.is_empty()).then(|| texts.join(","))))
    }
}
