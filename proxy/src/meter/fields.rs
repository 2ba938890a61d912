//! What was found of one JSON object: an answer, or the data of an event.

use serde_json::{Map, Value};

use super::ApiError;
use super::quote;
use super::shape::Field;

/// Bytes kept of a model, a type or a code.
const NAME_LIMIT: usize = 256;

/// Bytes kept of an error's message.
const MESSAGE_LIMIT: usize = 1024;

/// Found so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) kind: Option<Kind>,
    pub(super) model: Option<String>,
    pub(super) usage: Figures,
    pub(super) stop_reason: Option<String>,
    pub(super) error: ApiError,
    pub(super) block: Option<Block>,
    pub(super) fallback_model: Option<String>,
    /// Characters in the texts of a delta.
    pub(super) text_chars: u64,
    /// Bytes of `content` other than blanks, as far as they were counted.
    content_bytes: usize,
}

/// `[]`
const EMPTY_ARRAY_BYTES: usize = 2;

/// What a `usage` member held.
#[derive(Debug, Default)]
pub(super) enum Figures {
    /// It is missing or null.
    #[default]
    None,
    Object(Map<String, Value>),
    /// It is too large, or no object.
    Unreadable,
}

/// A block of content that means something to the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Another model goes on.
    Fallback,
    /// A tool is called: the caller's own, the API's or an MCP server's.
    ToolCall,
}

impl Block {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"fallback" => Some(Self::Fallback),
            b"tool_use" | b"server_tool_use" | b"mcp_tool_use" => Some(Self::ToolCall),
            _ => None,
        }
    }
}

/// What an answer or event is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Error,
    MessageStart,
    MessageDelta,
    MessageStop,
    ContentBlockStart,
    ContentBlockDelta,
    Other,
}

impl Kind {
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"content_block_delta" => Self::ContentBlockDelta,
            b"content_block_start" => Self::ContentBlockStart,
            b"message_start" => Self::MessageStart,
            b"message_delta" => Self::MessageDelta,
            b"message_stop" => Self::MessageStop,
            b"message" => Self::Message,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }
}

impl Fields {
    /// Looks at a part of `content`, as long as it could still be empty.
    pub(super) fn weigh(&mut self, part: &[u8]) {
        if !self.has_content() {
            let bytes = part.iter().filter(|byte| !byte.is_ascii_whitespace());
            self.content_bytes += bytes.take(EMPTY_ARRAY_BYTES + 1).count();
        }
    }

    /// Whether `content` is neither missing nor empty.
    pub(super) fn has_content(&self) -> bool {
        self.content_bytes > EMPTY_ARRAY_BYTES
    }

    /// Sets a field to its value, in JSON; `None` if it was too large to be kept.
    pub(super) fn set(&mut self, field: Field, json: Option<&[u8]>) {
        let name = || json.and_then(|json| quote::text(json, NAME_LIMIT));
        match field {
            Field::Type => self.kind = json.and_then(quote::bytes).map(|name| Kind::named(&name)),
            Field::Model => self.model = name(),
            Field::Usage => self.usage = json.map_or(Figures::Unreadable, Figures::parse),
            Field::StopReason => self.stop_reason = name(),
            Field::ErrorType => self.error.kind = name(),
            Field::ErrorCode => self.error.code = name(),
            Field::ErrorMessage => {
                self.error.message = json.and_then(|json| quote::text(json, MESSAGE_LIMIT));
            }
            Field::BlockType => {
                self.block = json
                    .and_then(quote::bytes)
                    .and_then(|name| Block::named(&name));
            }
            Field::FallbackModel => self.fallback_model = name(),
        }
    }
}

impl Figures {
    fn parse(json: &[u8]) -> Self {
        match serde_json::from_slice(json) {
            Ok(Some(object)) => Self::Object(object),
            Ok(None) => Self::None,
            Err(_not_an_object) => Self::Unreadable,
        }
    }
}
