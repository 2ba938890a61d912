//! What an answer says: thinking, errands to servers, text, a tool call; all within `max_tokens`.

use super::answer::{Answer, Block, MessageTag, RoleTag, StopDetails, StopReason};
use super::errand;
use super::prose;
use super::request::{MessageRequest, Thinking};
use super::usage::{OutputDetails, ServerToolUse, Usage};
use crate::api_error::ApiError;
use crate::draw::Draw;
use crate::steering::{Refusal, Steering};

pub(super) fn compose(
    request: &MessageRequest<'_>,
    steering: &Steering,
    draw: &mut Draw,
) -> Result<Answer, ApiError> {
    let id = draw.id("msg_");
    let mut draft = Draft::new(request.max_tokens, draw);
    let stop_reason = match steering.refusal {
        Some(Refusal::BeforeOutput) => StopReason::Refusal,
        refusal => {
            let stop_reason = draft.write(request, steering)?;
            refusal.map_or(stop_reason, |_| StopReason::Refusal)
        }
    };
    let mut usage = Usage::of(&request.prompt, steering.cache_hit);
    let first_input_tokens = usage.input_tokens;
    draft.account(&mut usage);
    usage.inference_geo = request.inference_geo.clone().into_owned();
    usage.speed = request.fast.then_some("fast");
    Ok(Answer {
        model: request.model.id.clone(),
        id,
        kind: MessageTag,
        role: RoleTag,
        content: draft.content,
        stop_reason,
        stop_sequence: (),
        stop_details: (stop_reason == StopReason::Refusal).then_some(StopDetails::Refusal {
            category: None,
            explanation: Some("The simulator was told to refuse."),
        }),
        usage,
        first_input_tokens,
    })
}

/// An answer while it is being written, and the tokens it has cost so far.
#[derive(Debug)]
pub(super) struct Draft<'d> {
    pub(super) draw: &'d mut Draw,
    pub(super) content: Vec<Block>,
    tokens_left: u64,
    tokens_spent: u64,
    /// Something did not fit; nothing more is written.
    cut: bool,
    thinking_tokens: Option<u64>,
    pub(super) web_searches: u64,
    /// Results that servers brought, each read in a turn of its own.
    pub(super) result_tokens: Vec<u64>,
}

impl<'d> Draft<'d> {
    fn new(max_tokens: u64, draw: &'d mut Draw) -> Self {
        Self {
            draw,
            content: Vec::new(),
            tokens_left: max_tokens,
            tokens_spent: 0,
            cut: max_tokens == 0,
            thinking_tokens: None,
            web_searches: 0,
            result_tokens: Vec::new(),
        }
    }

    fn write(
        &mut self,
        request: &MessageRequest<'_>,
        steering: &Steering,
    ) -> Result<StopReason, ApiError> {
        let call = errand::client_call(request, steering, self.draw)?;
        let chance = if call.is_some() {
            12
        } else {
            24 + self.draw.below(72)
        };
        let wanted = steering.output_tokens.unwrap_or(chance);
        let thought = request
            .thinking
            .map_or(0, |thinking| self.think(wanted / 3, thinking));
        if errand::searches_the_web(request) {
            errand::search_the_web(self);
        }
        if let Some(server) = &request.mcp_server {
            errand::ask_mcp_server(server, self);
        }
        self.speak(wanted - thought);
        if steering.refusal.is_none()
            && let Some(call) = call
        {
            errand::call_client_tool(call, self);
        }
        Ok(match self.content.last() {
            _ if self.cut => StopReason::MaxTokens,
            Some(Block::ToolUse { .. }) => StopReason::ToolUse,
            _ => StopReason::EndTurn,
        })
    }

    fn think(&mut self, wanted: u64, thinking: Thinking) -> u64 {
        let tokens = self.take(wanted.min(thinking.budget_tokens));
        if tokens == 0 {
            return 0;
        }
        let thought = prose::thought(tokens, self.draw);
        self.thinking_tokens = Some(tokens);
        self.content.push(Block::Thinking {
            thinking: if thinking.omitted {
                String::new()
            } else {
                thought
            },
            signature: self.draw.opaque(180),
        });
        tokens
    }

    fn speak(&mut self, wanted: u64) {
        let tokens = self.take(wanted);
        if tokens > 0 {
            let text = prose::answer(tokens, self.draw);
            self.content.push(Block::Text { text });
        }
    }

    /// Takes what is left of `wanted` tokens.
    fn take(&mut self, wanted: u64) -> u64 {
        if self.cut {
            return 0;
        }
        let taken = wanted.min(self.tokens_left);
        self.tokens_left -= taken;
        self.tokens_spent += taken;
        self.cut = taken < wanted;
        taken
    }

    /// Takes all of `tokens` or ends the answer.
    #[must_use]
    pub(super) fn take_all(&mut self, tokens: u64) -> bool {
        if self.cut || tokens > self.tokens_left {
            self.cut = true;
            return false;
        }
        self.take(tokens) == tokens
    }

    fn account(&self, usage: &mut Usage) {
        usage.output_tokens = self.tokens_spent;
        usage.output_tokens_details = self
            .thinking_tokens
            .map(|thinking_tokens| OutputDetails { thinking_tokens });
        usage.server_tool_use = (self.web_searches > 0).then_some(ServerToolUse {
            web_search_requests: self.web_searches,
            web_fetch_requests: 0,
        });
        // Each turn after a server's result reads the prompt again, and the result with it.
        let first_turn = usage.input_tokens;
        for result in &self.result_tokens {
            usage.input_tokens += first_turn + result;
        }
    }
}
