//! A composed answer: the message as its JSON has it, and what its stream needs besides.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::usage::Usage;

/// A message. Serializes as the API's JSON answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(super) model: String,
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: MessageTag,
    pub(super) role: RoleTag,
    pub(super) content: Vec<Block>,
    pub(super) stop_reason: StopReason,
    pub(super) stop_sequence: (),
    pub(super) stop_details: Option<StopDetails>,
    pub(super) usage: Usage,
    /// Input tokens before any server tool brought more.
    #[serde(skip)]
    pub(super) first_input_tokens: u64,
}

/// Always `"message"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageTag;

/// Always `"assistant"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoleTag;

impl Serialize for MessageTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("message")
    }
}

impl Serialize for RoleTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("assistant")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StopReason {
    EndTurn,
    MaxTokens,
    ToolUse,
    Refusal,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum StopDetails {
    Refusal {
        category: Option<&'static str>,
        explanation: Option<&'static str>,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Thinking {
        thinking: String,
        signature: String,
    },
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Map<String, Value>,
    },
    ServerToolUse {
        id: String,
        name: String,
        input: Map<String, Value>,
    },
    WebSearchToolResult {
        tool_use_id: String,
        content: Vec<SearchResult>,
    },
    McpToolUse {
        id: String,
        name: String,
        server_name: String,
        input: Map<String, Value>,
    },
    McpToolResult {
        tool_use_id: String,
        is_error: bool,
        content: Vec<Block>,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename = "web_search_result")]
pub(super) struct SearchResult {
    pub(super) title: &'static str,
    pub(super) url: &'static str,
    pub(super) encrypted_content: String,
    pub(super) page_age: Option<&'static str>,
}
