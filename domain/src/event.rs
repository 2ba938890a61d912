//! The usage event: what is stored of one request, for good.

use serde::{Deserialize, Serialize};

use crate::{
    ApiKeyId, Cost, Endpoint, McpServerId, ObjectKind, OrgId, Picodollars, PolicyId, ProjectId,
    RequestId, Timestamp, Usage, UsageObject, UserId,
};

/// One row of `usage_events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The MCP tools it calls, each a row of `mcp_usage`.
    pub mcp_calls: Vec<McpCall>,
    /// How many more there are than those.
    pub more_mcp_calls: u64,
    /// What it made upstream.
    pub created: Option<CreatedObject>,
    /// What it speaks of, if that may be seen again and counts once.
    pub repeatable: Option<Repeatable>,
    /// What was refused, if it was: nothing was sent upstream.
    #[serde(default)]
    pub refused: Option<Refused>,
    /// Made with a test key: at no cost, outside aggregates and budgets.
    pub test: bool,
}

/// Requests that a rule refused, of one key and for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// How many there were.
    pub count: u64,
    /// The policy, if it was one's.
    pub policy_id: Option<PolicyId>,
}

/// One row of `mcp_usage`: a call of an MCP server's tool that an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpCall {
    /// Its own id.
    pub id: RequestId,
    /// The server, if the project has registered one of that name.
    pub server_id: Option<McpServerId>,
    /// The server as the request, or the tool's name, has it.
    pub server_name: String,
    /// The tool, without its server.
    pub tool_name: String,
    /// What came of it.
    pub status: McpStatus,
    /// The input, in bytes of JSON.
    pub input_bytes: u64,
    /// The result, in bytes of JSON, where the answer has it.
    pub output_bytes: Option<u64>,
    /// The API's id of the call, by which a later request may answer it.
    pub tool_use_id: String,
}

/// `mcp_usage.status`, as far as answers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum McpStatus {
    /// The API called the tool, and it answered.
    Success,
    /// The API called the tool, and it failed.
    Error,
    /// Somebody was asked to call the tool; what came of it isn't in this answer.
    Requested,
}

impl McpStatus {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Requested => "requested",
        }
    }
}

/// Something that a request made upstream, and that its project owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedObject {
    /// What it is, by the path it was made at.
    pub kind: ObjectKind,
    /// The API's id of it.
    pub id: String,
}

/// What answers may show as often as anybody asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Repeatable {
    /// The result of an item of a message batch: of all events of one item one is stored.
    BatchItem(BatchItem),
    /// The running total of something that goes on consuming: of each event what is new in it is stored. Until that is known, its
    /// usage is all there has ever been, and its cost nothing.
    Total(RunningTotal),
}

/// One item of a message batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchItem {
    /// The API's id of the batch.
    pub batch_id: String,
    /// The caller's own id of the item.
    pub custom_id: String,
}

/// What a session of an agent, or a dream, has consumed so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningTotal {
    /// The API's id of the session that does the work.
    pub id: String,
    /// The object that says so: the session itself, or the dream that it runs.
    pub shown_by: String,
    /// More models than the one that is named may have worked.
    pub mixed_models: bool,
    /// How long its agents ran, in milliseconds.
    pub active_ms: u64,
    /// What the API says that it cost at list prices, rounded to a cent.
    pub list_cost: Option<Picodollars>,
    /// The usage object as received.
    pub raw: UsageObject,
}

/// `usage_events.event_type`, as far as requests make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
