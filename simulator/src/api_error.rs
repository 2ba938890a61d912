//! Failures in the API's words: a kind, the status that belongs to it, and the JSON envelope.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

/// What went wrong, as the API classes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid,
    Auth,
    Billing,
    Permission,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    RateLimit,
    Api,
    Timeout,
    Overloaded,
}

impl Fault {
    /// The fault that a steering value names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "invalid" => Self::Invalid,
            "auth" => Self::Auth,
            "billing" => Self::Billing,
            "permission" => Self::Permission,
            "not_found" => Self::NotFound,
            "too_large" => Self::TooLarge,
            "rate_limit" => Self::RateLimit,
            "api" => Self::Api,
            "timeout" => Self::Timeout,
            "overloaded" => Self::Overloaded,
            _ => return None,
        })
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Auth => StatusCode::UNAUTHORIZED,
            Self::Billing => StatusCode::PAYMENT_REQUIRED,
            Self::Permission => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Api => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            // 529 is the API's own; no name exists, and every three-digit code is valid.
            Self::Overloaded => {
                StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn error_type(self) -> &'static str {
        match self {
            Self::Invalid | Self::MethodNotAllowed => "invalid_request_error",
            Self::Auth => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    fn usual_message(self) -> &'static str {
        match self {
            Self::Invalid => "The request was refused as the simulator was told to.",
            Self::Auth => "invalid x-api-key",
            Self::Billing => {
                "Your credit balance is too low to access the Claude API. Please go to Plans & Billing to upgrade or purchase credits."
            }
            Self::Permission => {
                "Your API key does not have permission to use the specified resource."
            }
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::TooLarge => "Request exceeds the maximum size",
            Self::RateLimit => {
                "This request would exceed your organization's rate limit. Please try again later."
            }
            Self::Api => "Internal server error",
            Self::Timeout => "Request timed out",
            Self::Overloaded => "Overloaded",
        }
    }
}

/// A request's failure, ready to be answered.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) fault: Fault,
    message: Cow<'static, str>,
    error_code: Option<&'static str>,
    pub(crate) retry_after_seconds: Option<u32>,
    pub(crate) should_retry: Option<bool>,
}

impl ApiError {
    pub(crate) fn new(fault: Fault, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault,
            message: message.into(),
            error_code: None,
            retry_after_seconds: (fault == Fault::RateLimit).then_some(1),
            should_retry: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::NotFound, message)
    }

    #[must_use]
    pub(crate) fn with_code(mut self, error_code: &'static str) -> Self {
        self.error_code = Some(error_code);
        self
    }

    /// The error as a response body or event says it.
    pub(crate) fn envelope<'a>(&'a self, request_id: Option<&'a str>) -> Envelope<'a> {
        Envelope {
            kind: "error",
            error: Detail {
                kind: self.fault.error_type(),
                message: &self.message,
                details: self.error_code.map(|error_code| Code { error_code }),
            },
            request_id,
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::new(fault, fault.usual_message())
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Detail<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Detail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Code>,
}

#[derive(Debug, Serialize)]
struct Code {
    error_code: &'static str,
}

#[cfg(test)]
mod tests {
    use super::{ApiError, Fault};

    #[test]
    fn envelopes_say_type_message_and_request_id() {
        let check = |error: ApiError, request_id, expected: &str| {
            let text = serde_json::to_string(&error.envelope(request_id)).unwrap();
            assert_eq!(text, expected);
        };
        check(
            ApiError::invalid("max_tokens: Field required"),
            Some("req_1"),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: Field required"},"request_id":"req_1"}"#,
        );
        check(
            ApiError::invalid("no").with_code("request_body_encoding_invalid"),
            None,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no","details":{"error_code":"request_body_encoding_invalid"}}}"#,
        );
        check(
            Fault::Overloaded.into(),
            None,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        );
    }

    #[test]
    fn only_rate_limits_ask_to_wait() {
        assert_eq!(
            ApiError::from(Fault::RateLimit).retry_after_seconds,
            Some(1)
        );
        assert_eq!(ApiError::from(Fault::Overloaded).retry_after_seconds, None);
    }
}
