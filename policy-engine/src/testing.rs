//! What tests of rules and of the engine share.

use domain::Endpoint;

use crate::facts::{Field, Request};
use crate::rules::json;

/// Shows a body as the request of an endpoint that it is; an empty one as one that only reads.
pub(crate) fn with_request<R>(
    endpoint: Endpoint,
    body: &str,
    run: impl FnOnce(Request<'_>) -> R,
) -> R {
    let members = json::members(body).unwrap_or_default();
    let fields: Vec<_> = members
        .into_iter()
        .map(|(name, json)| Field { name, json })
        .collect();
    let field = |name: &str| {
        let last = fields.iter().rev().find(|field| field.name == name);
        let json = last.map_or("", |field| field.json);
        if json == "null" { "" } else { json }
    };
    run(Request {
        reads: fields.is_empty(),
        model: field("model").trim_matches('"'),
        max_tokens: field("max_tokens").parse().unwrap_or(0),
        stream: field("stream") == "true",
        body_bytes: body.len() as u64,
        fields: &fields,
        ..Request::of(endpoint)
    })
}
