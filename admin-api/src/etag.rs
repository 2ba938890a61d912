//! Optimistic concurrency: an object's `ETag` is when it was last changed, and a change may ask that it still be so.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::document::header_parameter;
use crate::error::{ApiError, Result};

/// What has an `ETag`.
pub(crate) trait Versioned {
    fn updated_at(&self) -> DateTime<Utc>;
}

/// An object, answered with its `ETag`.
#[derive(Debug)]
pub(crate) enum Tagged<T> {
    Fresh(StatusCode, T),
    /// What was made by the same request before, as it was answered then.
    Again(Shown),
}

/// An object that was made, as it is answered: its `ETag`, and its JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    tag: String,
    json: String,
}

impl Shown {
    pub(crate) fn new<T: Serialize + Versioned>(made: &T) -> serde_json::Result<Self> {
        Ok(Self {
            tag: tag(made.updated_at()),
            json: serde_json::to_string(made)?,
        })
    }

    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (HeaderName::from_static("idempotent-replayed"), "true"),
        ];
        let mut response = (StatusCode::CREATED, headers, self.json).into_response();
        set_tag(&mut response, self.tag);
        response
    }
}

impl<T> Tagged<T> {
    pub(crate) fn new(status: StatusCode, object: T) -> Self {
        Self::Fresh(status, object)
    }

    pub(crate) fn ok(object: T) -> Self {
        Self::new(StatusCode::OK, object)
    }
}

impl<T: Serialize + Versioned> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Fresh(status, object) => {
                let tag = tag(object.updated_at());
                let mut response = (status, Json(object)).into_response();
                set_tag(&mut response, tag);
                response
            }
            Self::Again(shown) => shown.into_response(),
        }
    }
}

fn set_tag(response: &mut Response, tag: String) {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
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

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter(
            "If-Match",
            "The `ETag` that it is to have",
        )]
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
