//! What tests of rules and of the engine share.

use std::borrow::Cow;

use domain::Endpoint;
use serde_json::Value;

use crate::facts::{Field, Request};

/// Shows a body, an object, as the request of `messages` that it is.
pub(crate) fn with_request<R>(body: &Value, run: impl FnOnce(Request<'_>) -> R) -> R {
    let object = body.as_object().unwrap();
    let texts: Vec<_> = object
        .iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    let fields: Vec<_> = texts
        .iter()
        .map(|(name, json)| Field {
            name: Cow::Borrowed(name.as_str()),
            json,
        })
        .collect();
    run(Request {
        model: body["model"].as_str().unwrap_or_default(),
        max_tokens: body["max_tokens"].as_u64().unwrap_or_default(),
        fields: &fields,
        ..Request::of(Endpoint::Messages)
    })
}
