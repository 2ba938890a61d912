//! An answer as a stream of server-sent events, laid out as the API lays them out.
//!
//! Like the API it pads events with spaces, so that their length tells nothing about their words.

use serde::Serialize;

use super::answer::{Answer, Block, MessageTag, RoleTag, StopDetails, StopReason};
use super::usage::{Usage, UsageDelta};
use super::{prose, schema};
use crate::api_error::{ApiError, Fault};
use crate::body::events::Events;
use crate::draw::Draw;
use crate::steering::Steering;

/// How many deltas go out before an error that was asked for.
const DELTAS_BEFORE_ERROR: u32 = 3;

const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

pub(super) fn events(
    answer: &Answer,
    steering: &Steering,
    draw: &mut Draw,
) -> Result<Events, ApiError> {
    let mut writer = Writer {
        events: Events::default(),
        draw,
        tokens_per_event: steering.tokens_per_event,
        error: steering.mid_stream_error,
        deltas: 0,
    };
    match writer.message(answer) {
        Ok(()) => {}
        Err(Interruption::Asked(fault)) => {
            writer.frame("error", &ApiError::from(fault).envelope(None))?;
        }
        Err(Interruption::Failed) => return Err(Fault::Api.into()),
    }
    Ok(writer.events)
}

/// Why a stream ends early.
enum Interruption {
    Asked(Fault),
    Failed,
}

impl From<serde_json::Error> for Interruption {
    fn from(_: serde_json::Error) -> Self {
        Self::Failed
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(_: serde_json::Error) -> Self {
        Fault::Api.into()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart {
        message: Opening<'a>,
    },
    ContentBlockStart {
        index: usize,
        content_block: &'a Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: Closing,
        usage: UsageDelta<'a>,
    },
    MessageStop,
}

#[derive(Clone, Copy, Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct Opening<'a> {
    model: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: MessageTag,
    role: RoleTag,
    content: [(); 0],
    stop_reason: (),
    stop_sequence: (),
    stop_details: (),
    usage: Usage,
}

#[derive(Serialize)]
struct Closing {
    stop_reason: StopReason,
    stop_sequence: (),
    stop_details: Option<StopDetails>,
}

struct Writer<'d> {
    events: Events,
    draw: &'d mut Draw,
    tokens_per_event: Option<u64>,
    error: Option<Fault>,
    deltas: u32,
}

impl Writer<'_> {
    fn message(&mut self, answer: &Answer) -> Result<(), Interruption> {
        self.event(&Event::MessageStart {
            message: opening(answer),
        })?;
        if answer.content.is_empty() {
            self.ping();
        }
        for (index, block) in answer.content.iter().enumerate() {
            self.block(index, block)?;
        }
        if let Some(fault) = self.error {
            return Err(Interruption::Asked(fault));
        }
        let delta = Closing {
            stop_reason: answer.stop_reason,
            stop_sequence: (),
            stop_details: answer.stop_details,
        };
        self.event(&Event::MessageDelta {
            delta,
            usage: answer.usage.delta(),
        })?;
        self.event(&Event::MessageStop)
    }

    fn block(&mut self, index: usize, block: &Block) -> Result<(), Interruption> {
        let content_block = &emptied(block);
        self.event(&Event::ContentBlockStart {
            index,
            content_block,
        })?;
        if index == 0 {
            self.ping();
        }
        match block {
            Block::Text { text } => {
                self.groups(index, text, prose::pieces(text), |text| Delta::Text {
                    text,
                })?;
            }
            Block::Thinking {
                thinking,
                signature,
            } => {
                let pieces = prose::pieces(thinking);
                self.groups(index, thinking, pieces, |thinking| Delta::Thinking {
                    thinking,
                })?;
                self.delta(index, Delta::Signature { signature })?;
            }
            Block::ToolUse { input, .. }
            | Block::ServerToolUse { input, .. }
            | Block::McpToolUse { input, .. } => {
                self.delta(index, Delta::InputJson { partial_json: "" })?;
                let json = schema::json(input);
                let delta = |partial_json| Delta::InputJson { partial_json };
                self.groups(index, &json, schema::pieces(&json), delta)?;
            }
            // Results come whole in their start event.
            Block::WebSearchToolResult { .. } | Block::McpToolResult { .. } => {}
        }
        self.event(&Event::ContentBlockStop { index })
    }

    /// Sends `text` in deltas of a few of its pieces each.
    fn groups<'t>(
        &mut self,
        index: usize,
        text: &'t str,
        mut pieces: impl Iterator<Item = &'t str>,
        delta: impl Fn(&'t str) -> Delta<'t>,
    ) -> Result<(), Interruption> {
        let mut rest = text;
        while !rest.is_empty() {
            let count = self.group_size();
            let length = pieces.by_ref().take(count).map(str::len).sum();
            let Some((group, after)) = rest.split_at_checked(length) else {
                break;
            };
            rest = after;
            self.delta(index, delta(group))?;
        }
        Ok(())
    }

    fn group_size(&mut self) -> usize {
        let tokens = self
            .tokens_per_event
            .unwrap_or_else(|| self.draw.below(4) + 1);
        usize::try_from(tokens).unwrap_or(usize::MAX).max(1)
    }

    fn delta(&mut self, index: usize, delta: Delta<'_>) -> Result<(), Interruption> {
        if let Some(fault) = self.error
            && self.deltas == DELTAS_BEFORE_ERROR
        {
            return Err(Interruption::Asked(fault));
        }
        self.deltas = self.deltas.saturating_add(1);
        self.event(&Event::ContentBlockDelta { index, delta })
    }

    fn ping(&mut self) {
        self.events.buffer.extend_from_slice(PING);
        self.events.close();
    }

    fn event(&mut self, event: &Event<'_>) -> Result<(), Interruption> {
        let name = match event {
            Event::MessageStart { .. } => "message_start",
            Event::ContentBlockStart { .. } => "content_block_start",
            Event::ContentBlockDelta { .. } => "content_block_delta",
            Event::ContentBlockStop { .. } => "content_block_stop",
            Event::MessageDelta { .. } => "message_delta",
            Event::MessageStop => "message_stop",
        };
        Ok(self.frame(name, event)?)
    }

    fn frame(&mut self, name: &str, data: &impl Serialize) -> Result<(), serde_json::Error> {
        const PADDING: &[u8; 15] = b"               ";
        let padding = self
            .draw
            .pick(&[0, 1, 2, 3, 5, 7, 10, 14])
            .copied()
            .unwrap_or(0);
        let buffer = &mut self.events.buffer;
        buffer.extend_from_slice(b"event: ");
        buffer.extend_from_slice(name.as_bytes());
        buffer.extend_from_slice(b"\ndata: ");
        serde_json::to_writer(&mut *buffer, data)?;
        // The spaces go before the closing brace, as the API has them.
        if let Some(brace) = buffer.pop() {
            buffer.extend(PADDING.iter().take(padding));
            buffer.push(brace);
        }
        buffer.extend_from_slice(b"\n\n");
        self.events.close();
        Ok(())
    }
}

fn opening(answer: &Answer) -> Opening<'_> {
    Opening {
        model: &answer.model,
        id: &answer.id,
        kind: MessageTag,
        role: RoleTag,
        content: [],
        stop_reason: (),
        stop_sequence: (),
        stop_details: (),
        usage: answer.usage.at_start(answer.first_input_tokens),
    }
}

/// A block as its start event shows it: without what the deltas will bring.
fn emptied(block: &Block) -> Block {
    match block {
        Block::Text { .. } => Block::Text {
            text: String::new(),
        },
        Block::Thinking { .. } => Block::Thinking {
            thinking: String::new(),
            signature: String::new(),
        },
        Block::ToolUse { .. }
        | Block::ServerToolUse { .. }
        | Block::McpToolUse { .. }
        | Block::WebSearchToolResult { .. }
        | Block::McpToolResult { .. } => {
            let mut block = block.clone();
            if let Block::ToolUse { input, .. }
            | Block::ServerToolUse { input, .. }
            | Block::McpToolUse { input, .. } = &mut block
            {
                input.clear();
            }
            block
        }
    }
}
