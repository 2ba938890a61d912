//! The usage event: what is stored of one request, for good.

use crate::{ApiKeyId, Cost, Endpoint, OrgId, ProjectId, RequestId, Timestamp, Usage, UserId};

/// One row of `usage_events`.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageEvent {
    /// The moment of admission.
    pub time: Timestamp,
    /// Whose request it was.
    pub org_id: OrgId,
    /// The project of the key.
    pub project_id: ProjectId,
    /// Who made the key.
    pub user_id: Option<UserId>,
    /// The key.
    pub api_key_id: ApiKeyId,
    /// The gateway's id of the request.
    pub request_id: RequestId,
    /// Streamed or not.
    pub event_type: EventType,
    /// The model that answered, else the one asked for; empty if there was none.
    pub model: String,
    /// What was consumed.
    pub usage: Usage,
    /// What it cost.
    pub cost: Cost,
    /// How far the counters can be trusted.
    pub quality: UsageQuality,
    /// The head of the request to the end of the answer, in milliseconds.
    pub latency_ms: u32,
    /// The head of the request to the first content, in milliseconds; streams only.
    pub time_to_first_token_ms: Option<u32>,
    /// How it ended.
    pub outcome: Outcome,
    /// Which part of the API.
    pub endpoint: Endpoint,
    /// The upstream's `request-id`.
    pub upstream_request_id: Option<String>,
    /// Made with a test key: at no cost, outside aggregates and budgets.
    pub test: bool,
}

/// `usage_events.event_type`, as far as requests make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Answered in one piece.
    ApiCall,
    /// Answered as server-sent events.
    Streaming,
}

impl EventType {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiCall => "api_call",
            Self::Streaming => "streaming",
        }
    }
}

/// `usage_events.usage_quality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageQuality {
    /// The API's own final figures.
    Exact,
    /// The API's own figures, but not all of them arrived.
    Partial,
    /// Some counter is the gateway's estimate.
    Estimated,
}

impl UsageQuality {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}

/// `usage_events.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// The answer was complete.
    Success,
    /// It was not, or it was an error.
    Error,
    /// The upstream fell silent.
    Timeout,
    /// Refused for a rate or a budget, here or upstream.
    RateLimited,
}

impl EventStatus {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub status: EventStatus,
    /// The cause, from a bounded set or the upstream's own `error_code` or `type`.
    pub error_code: Option<String>,
    /// For a person.
    pub error_message: Option<String>,
}

impl Outcome {
    /// A complete answer.
    #[must_use]
    pub fn success() -> Self {
        Self {
            status: EventStatus::Success,
            error_code: None,
            error_message: None,
        }
    }

    /// An end with a cause.
    #[must_use]
    pub fn failure(status: EventStatus, error_code: &str, error_message: Option<&str>) -> Self {
        Self {
            status,
            error_code: Some(error_code.to_owned()),
            error_message: error_message.map(str::to_owned),
        }
    }
}
