//! Everything the gateway itself answers with an error, and how: one enum, one exhaustive match.
//!
//! An upstream's own error never comes here; it passes byte for byte.

use domain::{EventStatus, PolicyId, RequestId};
use http::StatusCode;
use policy_engine::{Denial, Reason};
use serde::Serialize;

use crate::inspect::{InspectError, MOST_MEMBERS};

/// Why a request is not answered by the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no API key: send it in the x-api-key header or as a bearer token")]
    KeyMissing,
    #[error("invalid API key")]
    KeyUnknown,
    #[error("this API key has been revoked")]
    KeyRevoked,
    #[error("this API key has expired")]
    KeyExpired,
    #[error("x-api-key and Authorization carry different API keys")]
    KeyAmbiguous,
    #[error("this API key may not be used from this address")]
    IpNotAllowed,
    #[error("this API key lacks the scope `{needed}`")]
    ScopeMissing { needed: &'static str },
    #[error("the project of this API key is not active")]
    ProjectInactive,
    #[error("the organization of this API key is not active")]
    OrganizationInactive,
    #[error("the request body is not a JSON object")]
    BodyNotJson,
    #[error("the request body has more than {MOST_MEMBERS} members at its top level")]
    TooManyMembers,
    #[error("model: Field required")]
    ModelMissing,
    #[error(
        "the Content-Encoding of the request body is not supported: use gzip, deflate, br or zstd"
    )]
    BodyEncodingUnsupported,
    #[error("the request body can't be decoded as its Content-Encoding says")]
    BodyEncodingInvalid,
    #[error("there is nothing at this path: the API is below /v1/")]
    PathUnknown,
    #[error("the object was not found")]
    ObjectNotFound,
    #[error(
        "this endpoint shows the objects of all who share the upstream key: it takes an upstream key of the organization's own"
    )]
    EndpointNotAllowed,
    /// The exchange has the words.
    #[error("the request is refused by a rule")]
    Denied(Reason),
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    #[error("the request body could not be read")]
    BodyBroken,
    #[error("request body exceeds the maximum size of {limit} bytes")]
    BodyTooLarge { limit: u64 },
    #[error("request headers are too large")]
    HeadersTooLarge,
    #[error("the gateway is overloaded: try again shortly")]
    Overloaded,
    #[error("the upstream could not be reached or broke off")]
    UpstreamUnreachable,
    #[error("the upstream did not answer in time")]
    UpstreamTimeout,
}

/// How a failure is told to the caller.
struct Description {
    status: u16,
    kind: &'static str,
    error_code: &'static str,
}

impl Description {
    fn of(reason: Reason) -> Self {
        let (status, kind) = match reason {
            Reason::ModelNotAllowed
            | Reason::ToolBlocked
            | Reason::McpServerNotApproved
            | Reason::EndpointNotAllowed
            | Reason::IpNotAllowed
            | Reason::PolicyDenied
            | Reason::ModelUnpriced
            | Reason::OrganizationInactive => (403, "permission_error"),
            Reason::RateLimited => (429, "rate_limit_error"),
            Reason::BudgetExhausted => (429, "billing_error"),
        };
        Self {
            status,
            kind,
            error_code: reason.as_str(),
        }
    }
}

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::NotAnObject => Self::BodyNotJson,
            InspectError::TooManyMembers => Self::TooManyMembers,
            InspectError::ModelMissing => Self::ModelMissing,
        }
    }
}

impl Failure {
    fn describe(self) -> Description {
        let (status, kind, error_code) = match self {
            Self::KeyMissing => (401, "authentication_error", "key_missing"),
            Self::KeyUnknown => (401, "authentication_error", "key_unknown"),
            Self::KeyRevoked => (401, "authentication_error", "key_revoked"),
            Self::KeyExpired => (401, "authentication_error", "key_expired"),
            Self::KeyAmbiguous => (401, "authentication_error", "key_ambiguous"),
            Self::IpNotAllowed => (403, "permission_error", "ip_not_allowed"),
            Self::ScopeMissing { .. } => (403, "permission_error", "scope_missing"),
            Self::ProjectInactive => (403, "permission_error", "project_inactive"),
            Self::OrganizationInactive => (403, "permission_error", "organization_inactive"),
            Self::BodyNotJson | Self::TooManyMembers | Self::ModelMissing | Self::BodyBroken => {
                (400, "invalid_request_error", "body_invalid")
            }
            Self::BodyEncodingUnsupported => (
                400,
                "invalid_request_error",
                "request_body_encoding_unsupported",
            ),
            Self::BodyEncodingInvalid => (
                400,
                "invalid_request_error",
                "request_body_encoding_invalid",
            ),
            Self::PathUnknown => (404, "not_found_error", "path_unknown"),
            Self::ObjectNotFound => (404, "not_found_error", "object_not_found"),
            Self::EndpointNotAllowed => (403, "permission_error", "endpoint_not_allowed"),
            Self::Denied(reason) => return Description::of(reason),
            Self::BodyTimeout => (408, "timeout_error", "request_body_timeout"),
            Self::BodyTooLarge { .. } => (413, "request_too_large", "body_too_large"),
            Self::HeadersTooLarge => (431, "invalid_request_error", "headers_too_large"),
            Self::Overloaded => (503, "overloaded_error", "overloaded"),
            Self::UpstreamUnreachable => (502, "api_error", "upstream_unreachable"),
            Self::UpstreamTimeout => (504, "timeout_error", "upstream_timeout"),
        };
        Description {
            status,
            kind,
            error_code,
        }
    }

    /// The bounded name of the failure: in the envelope, in metrics, in the event.
    pub(crate) fn error_code(self) -> &'static str {
        self.describe().error_code
    }

    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.describe().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The API's word for the kind of error.
    pub(crate) fn kind(self) -> &'static str {
        self.describe().kind
    }

    /// Seconds after which trying again makes sense.
    pub(crate) fn retry_after_seconds(self) -> Option<u32> {
        (self == Self::Overloaded).then_some(1)
    }

    /// The status of the event, where the request has one.
    pub(crate) fn event_status(self) -> EventStatus {
        if self == Self::UpstreamTimeout {
            EventStatus::Timeout
        } else {
            EventStatus::Error
        }
    }

    /// The body, in the API's own envelope; with all that a denial says, if there is one.
    pub(crate) fn envelope(self, request_id: RequestId, denial: Option<&Denial>) -> Vec<u8> {
        let Description {
            kind, error_code, ..
        } = self.describe();
        let envelope = Envelope {
            kind: "error",
            error: Error {
                kind,
                message: denial.map_or_else(|| self.to_string(), |denial| denial.message.clone()),
                details: Details::new(error_code, denial),
            },
            request_id,
        };
        // Strings and an id always serialize.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

/// Fields in the order in which the API has them.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Error<'a>,
    request_id: RequestId,
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    error_code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_id: Option<PolicyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(flatten)]
    exhausted: Option<Limit<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item<'a>>,
}

/// The item of a batch that it is about.
#[derive(Serialize)]
struct Item<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_id: Option<&'a str>,
}

/// A limit that is reached.
#[derive(Serialize)]
struct Limit<'a> {
    limit: &'a str,
    spent: &'a str,
    unit: &'static str,
    resets_at: String,
}

impl<'a> Details<'a> {
    fn new(error_code: &'static str, denial: Option<&'a Denial>) -> Self {
        let policy = denial.and_then(|denial| denial.policy.as_ref());
        let exhausted = denial.and_then(|denial| denial.exhausted.as_ref());
        Self {
            error_code,
            policy_id: policy.map(|(id, _)| *id),
            policy: policy.map(|(_, name)| name.as_ref()),
            exhausted: exhausted.map(|exhausted| Limit {
                limit: &exhausted.limit,
                spent: &exhausted.spent,
                unit: exhausted.unit,
                resets_at: exhausted.resets_at.rfc3339(),
            }),
            item: denial
                .and_then(|denial| denial.item.as_ref())
                .map(|it| Item {
                    index: it.index,
                    custom_id: it.custom_id.as_deref(),
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_apis_own() {
        let id = RequestId(uuid::Uuid::nil());
        let body = String::from_utf8(Failure::KeyUnknown.envelope(id, None)).unwrap();
        assert_eq!(
            body,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid API key","details":{"error_code":"key_unknown"}},"request_id":"00000000-0000-0000-0000-000000000000"}"#
        );
    }
}
