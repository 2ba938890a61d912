//! The usage object, as the API reports it: whole in a message, in part in a `message_delta`.

use serde::Serialize;

use super::prompt::Prompt;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    pub(super) input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) cache_creation: CacheCreation,
    pub(super) output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_tokens_details: Option<OutputDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_tool_use: Option<ServerToolUse>,
    pub(super) service_tier: ServiceTier,
    pub(super) inference_geo: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speed: Option<&'static str>,
}

/// What a `message_delta` says: cumulative, and without what `message_start` has settled.
#[derive(Debug, Serialize)]
pub(super) struct UsageDelta<'a> {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<&'a OutputDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<&'a ServerToolUse>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct OutputDetails {
    pub(super) thinking_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ServerToolUse {
    pub(super) web_search_requests: u64,
    pub(super) web_fetch_requests: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ServiceTier {
    Standard,
    Batch,
}

impl Usage {
    /// The input side of `prompt`; `cache_hit` makes reads of what would be writes.
    pub(super) fn of(prompt: &Prompt, cache_hit: bool) -> Self {
        let cached = (prompt.cached_5m_tokens, prompt.cached_1h_tokens);
        let (written, read) = if cache_hit {
            ((0, 0), cached)
        } else {
            (cached, (0, 0))
        };
        Self {
            input_tokens: prompt.uncached_tokens,
            cache_creation_input_tokens: written.0 + written.1,
            cache_read_input_tokens: read.0 + read.1,
            cache_creation: CacheCreation {
                ephemeral_5m_input_tokens: written.0,
                ephemeral_1h_input_tokens: written.1,
            },
            output_tokens: 0,
            output_tokens_details: None,
            server_tool_use: None,
            service_tier: ServiceTier::Standard,
            inference_geo: String::new(),
            speed: None,
        }
    }

    /// What is known when a stream starts: the first turn's input, and next to no output.
    pub(super) fn at_start(&self, first_input_tokens: u64) -> Self {
        Self {
            input_tokens: first_input_tokens,
            output_tokens: self.output_tokens.min(1),
            output_tokens_details: None,
            server_tool_use: None,
            ..self.clone()
        }
    }

    pub(super) fn delta(&self) -> UsageDelta<'_> {
        UsageDelta {
            input_tokens: self.input_tokens,
            cache_creation_input_tokens: self.cache_creation_input_tokens,
            cache_read_input_tokens: self.cache_read_input_tokens,
            output_tokens: self.output_tokens,
            output_tokens_details: self.output_tokens_details.as_ref(),
            server_tool_use: self.server_tool_use.as_ref(),
        }
    }
}
