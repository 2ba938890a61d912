//! The request body: found in one pass over the top level, checked with the API's own complaints.
//!
//! Unknown fields are ignored, as new betas bring new ones. What isn't needed stays unparsed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api_error::ApiError;
use crate::models::{self, ResolvedModel};

use super::prompt::Prompt;

/// The fields of a body that matter here, as they came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    mcp_servers: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    inference_geo: Option<&'a RawValue>,
    #[serde(borrow)]
    speed: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow)]
    top_k: Option<&'a RawValue>,
}

/// A checked request.
#[derive(Debug)]
pub(super) struct MessageRequest<'a> {
    pub(super) model: ResolvedModel,
    pub(super) max_tokens: u64,
    pub(super) stream: bool,
    pub(super) prompt: Prompt,
    pub(super) thinking: Option<Thinking>,
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) tool_choice: ToolChoice<'a>,
    pub(super) mcp_server: Option<McpServer<'a>>,
    /// The last message brings a tool's result: answer in words now.
    pub(super) follows_tool_result: bool,
    pub(super) inference_geo: Cow<'a, str>,
    pub(super) fast: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Thinking {
    pub(super) budget_tokens: u64,
    /// Only the signature is shown.
    pub(super) omitted: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) input_schema: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToolChoice<'a> {
    #[default]
    Auto,
    Any,
    Tool {
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
    None,
}

#[derive(Debug, Deserialize)]
pub(super) struct McpServer<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    tool_configuration: Option<McpTools<'a>>,
}

#[derive(Debug, Deserialize)]
struct McpTools<'a> {
    #[serde(borrow, default)]
    allowed_tools: Option<Vec<Cow<'a, str>>>,
}

impl McpServer<'_> {
    pub(super) fn tool_name(&self) -> &str {
        self.tool_configuration
            .as_ref()
            .and_then(|tools| tools.allowed_tools.as_ref()?.first())
            .map_or("search", |name| name)
    }
}

impl<'a> Fields<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let parsed = serde_json::from_slice(body);
        // An array would be taken for a struct's fields in order, so its brace is asked for.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        match parsed {
            Ok(fields) if is_object => Ok(fields),
            Err(error) if !error.is_data() => Err(ApiError::invalid(format!(
                "The request body is not valid JSON: {error}"
            ))),
            Ok(_) | Err(_) => Err(ApiError::invalid("Input should be a valid dictionary")),
        }
    }

    pub(super) fn model(&self) -> Result<String, ApiError> {
        required("model", self.model, "a valid string")
    }

    pub(super) fn prompt(&self) -> Result<Prompt, ApiError> {
        let Some(messages) = self.messages else {
            return Err(field_required("messages"));
        };
        Prompt::read(self.tools, self.system, messages, self.cache_control)
    }

    fn max_tokens(&self, model: &ResolvedModel) -> Result<u64, ApiError> {
        let max_tokens: i64 = required("max_tokens", self.max_tokens, "a valid integer")?;
        let max_tokens = u64::try_from(max_tokens).map_err(|_| {
            ApiError::invalid("max_tokens: Input should be greater than or equal to 0")
        })?;
        if max_tokens > model.max_output_tokens {
            return Err(ApiError::invalid(format!(
                "max_tokens: {max_tokens} > {}, which is the maximum allowed number of output tokens for {}",
                model.max_output_tokens, model.id
            )));
        }
        Ok(max_tokens)
    }

    fn thinking(&self, max_tokens: u64) -> Result<Option<Thinking>, ApiError> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            budget_tokens: Option<u64>,
            #[serde(borrow)]
            display: Option<Cow<'a, str>>,
        }
        let Some(raw) = optional::<Raw<'_>>("thinking", self.thinking, "a valid dictionary")?
        else {
            return Ok(None);
        };
        let omitted = raw.display.as_deref() == Some("omitted");
        match &*raw.kind {
            "enabled" => {
                let budget_tokens = raw
                    .budget_tokens
                    .ok_or_else(|| field_required("thinking.enabled.budget_tokens"))?;
                if budget_tokens >= max_tokens {
                    return Err(ApiError::invalid(
                        "`max_tokens` must be greater than `thinking.budget_tokens`.",
                    ));
                }
                Ok(Some(Thinking {
                    budget_tokens,
                    omitted,
                }))
            }
            "adaptive" => Ok(Some(Thinking {
                budget_tokens: u64::MAX,
                omitted,
            })),
            "disabled" => Ok(None),
            other => Err(ApiError::invalid(format!(
                "thinking: Input tag '{other}' found using 'type' does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'"
            ))),
        }
    }

    /// Sampling parameters went away with the API version of 2026-10-21.
    fn refuse_sampling(&self, version: &str) -> Result<(), ApiError> {
        let sampling = [
            ("temperature", self.temperature),
            ("top_p", self.top_p),
            ("top_k", self.top_k),
        ];
        match sampling.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) if version == "2026-10-21" => Err(ApiError::invalid(format!(
                "{name}: Extra inputs are not permitted"
            ))),
            _ => Ok(()),
        }
    }
}

impl<'a> MessageRequest<'a> {
    pub(super) fn check(fields: &Fields<'a>, model: &str, version: &str) -> Result<Self, ApiError> {
        let model = models::resolve(model)?;
        let max_tokens = fields.max_tokens(&model)?;
        let last = check_messages(fields.messages)?;
        fields.refuse_sampling(version)?;
        let servers: Vec<McpServer<'a>> =
            optional("mcp_servers", fields.mcp_servers, "a valid list")?.unwrap_or_default();
        let speed: Option<Cow<'a, str>> = optional("speed", fields.speed, "a valid string")?;
        Ok(Self {
            model,
            max_tokens,
            stream: optional("stream", fields.stream, "a valid boolean")?.unwrap_or(false),
            prompt: fields.prompt()?,
            thinking: fields.thinking(max_tokens)?,
            tools: optional("tools", fields.tools, "a valid list")?.unwrap_or_default(),
            tool_choice: optional("tool_choice", fields.tool_choice, "a valid tool choice")?
                .unwrap_or_default(),
            mcp_server: servers.into_iter().next(),
            follows_tool_result: brings_tool_result(last),
            inference_geo: optional("inference_geo", fields.inference_geo, "a valid string")?
                .unwrap_or(Cow::Borrowed("not_available")),
            fast: speed.as_deref() == Some("fast"),
        })
    }
}

/// Checks the messages' outline; gives the last one's content.
fn check_messages(messages: Option<&RawValue>) -> Result<&RawValue, ApiError> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Option<Cow<'a, str>>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let messages: Vec<Message<'_>> = required("messages", messages, "a valid list")?;
    for (index, message) in messages.iter().enumerate() {
        match message.role.as_deref() {
            None => return Err(field_required(&format!("messages.{index}.role"))),
            Some("user" | "assistant" | "system") => {}
            Some(other) => {
                return Err(ApiError::invalid(format!(
                    "messages: Unexpected role \"{other}\". Allowed roles are \"user\" or \"assistant\"."
                )));
            }
        }
        if message.content.is_none() {
            return Err(field_required(&format!("messages.{index}.content")));
        }
    }
    let last = messages.last().and_then(|message| message.content);
    last.ok_or_else(|| ApiError::invalid("messages: at least one message is required"))
}

fn brings_tool_result(content: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Cow<'a, str>,
    }
    serde_json::from_str::<Vec<Block<'_>>>(content.get())
        .is_ok_and(|blocks| blocks.iter().any(|block| block.kind == "tool_result"))
}

fn required<'a, T: Deserialize<'a>>(
    name: &str,
    value: Option<&'a RawValue>,
    shape: &str,
) -> Result<T, ApiError> {
    let value = value.ok_or_else(|| field_required(name))?;
    serde_json::from_str(value.get())
        .map_err(|_| ApiError::invalid(format!("{name}: Input should be {shape}")))
}

fn optional<'a, T: Deserialize<'a>>(
    name: &str,
    value: Option<&'a RawValue>,
    shape: &str,
) -> Result<Option<T>, ApiError> {
    value.map_or(Ok(None), |_| required(name, value, shape))
}

fn field_required(name: &str) -> ApiError {
    ApiError::invalid(format!("{name}: Field required"))
}

#[cfg(test)]
mod tests;
