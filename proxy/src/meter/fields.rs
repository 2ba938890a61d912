//! What was found of one JSON object: an answer, or the data of an event.

use domain::UsageObject;

use super::ApiError;
use super::calls::{Block, BlockKind, Calls};
use super::quote;
use super::shape::{Field, Sized};

/// Bytes kept of a model, a type or a code.
const NAME_LIMIT: usize = 256;

/// Bytes kept of an error's message.
const MESSAGE_LIMIT: usize = 1024;

/// Found so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) kind: Option<Kind>,
    pub(super) object_id: Option<String>,
    pub(super) custom_id: Option<String>,
    pub(super) result_type: Option<String>,
    pub(super) model: Option<String>,
    pub(super) usage: Figures,
    pub(super) stop_reason: Option<String>,
    pub(super) error: ApiError,
    /// Of a session or dream, what else it says.
    pub(super) object: Object,
    /// Sessions, dreams and their events that have come in.
    pub(super) objects: Vec<Object>,
    /// The block of content that is coming in.
    pub(super) block: Block,
    /// Blocks of an answer in one piece that have come in.
    pub(super) blocks: u64,
    /// What tools they call.
    pub(super) calls: Calls,
    /// Characters in the texts of a delta.
    pub(super) text_chars: u64,
    /// And the bytes of those.
    pub(super) text_bytes: u64,
}

/// A session, a dream, or an event of a session.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) kind: Option<Kind>,
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) usage: Figures,
    /// The session that runs a dream.
    pub(super) session_id: Option<String>,
    pub(super) speed: Option<String>,
    pub(super) inference_geo: Option<String>,
    /// Its agent may have others work for it.
    pub(super) is_multiagent: bool,
}

/// What a `usage` member held.
#[derive(Debug, Default)]
pub(super) enum Figures {
    /// It is missing or null.
    #[default]
    None,
    Object(UsageObject),
    /// It is too large, or no object.
    Unreadable,
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
    Session,
    Dream,
    SessionUsage,
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
            b"session" => Self::Session,
            b"dream" => Self::Dream,
            b"session.usage" => Self::SessionUsage,
            _ => Self::Other,
        }
    }
}

impl Fields {
    /// A block of an answer in one piece has come in whole.
    pub(super) fn end_block(&mut self) {
        self.blocks += 1;
        self.calls.take_block(std::mem::take(&mut self.block));
    }

    /// An object has come in whole.
    pub(super) fn end_object(&mut self) {
        self.objects.push(Object {
            kind: self.kind.take(),
            id: self.object_id.take(),
            model: self.model.take(),
            usage: std::mem::take(&mut self.usage),
            ..std::mem::take(&mut self.object)
        });
    }

    /// Adds to the size of a value.
    pub(super) fn weigh(&mut self, sized: Sized, bytes: usize) {
        *match sized {
            Sized::Input => &mut self.block.input_bytes,
            Sized::Content => &mut self.block.content_bytes,
        } += bytes as u64;
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
            Field::ObjectId => self.object_id = name(),
            Field::CustomId => self.custom_id = name(),
            Field::ResultType => self.result_type = name(),
            Field::BlockType => {
                self.block.kind = json
                    .and_then(quote::bytes)
                    .map_or(BlockKind::Other, |name| BlockKind::named(&name));
            }
            Field::BlockId => self.block.id = name(),
            Field::BlockName => self.block.name = name(),
            Field::ServerName => self.block.server_name = name(),
            Field::ToolUseId => self.block.tool_use_id = name(),
            Field::IsError => self.block.is_error = json == Some(b"true"),
            Field::FallbackModel => self.block.fallback_model = name(),
            Field::SessionId => self.object.session_id = name(),
            Field::Speed => self.object.speed = name(),
            Field::InferenceGeo => self.object.inference_geo = name(),
            Field::Multiagent => self.object.is_multiagent = json != Some(b"null"),
        }
    }
}

impl Figures {
    fn parse(json: &[u8]) -> Self {
        match UsageObject::parse(json) {
            Some(object) => Self::Object(object),
            None if json == b"null" => Self::None,
            None => Self::Unreadable,
        }
    }
}
