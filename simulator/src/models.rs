//! The models that exist here, and what names they go by.

use serde::Serialize;

use crate::api_error::ApiError;

/// A model of the list that `GET /v1/models` gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    /// The undated name that some models also answer to.
    alias: Option<&'static str>,
    display_name: &'static str,
    created_on: &'static str,
    max_input_tokens: u64,
    max_output_tokens: u64,
}

/// What a request's model name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedModel {
    /// The id that answers carry.
    pub(crate) id: String,
    pub(crate) max_output_tokens: u64,
}

const LARGE: (u64, u64) = (1_000_000, 128_000);
const SMALL: (u64, u64) = (200_000, 64_000);

/// Newest first.
pub(crate) const MODELS: [Model; 18] = [
    model(
        "claude-fable-5-2",
        None,
        "Claude Fable 5.2",
        "2026-11-09",
        LARGE,
    ),
    model(
        "claude-mythos-5-2",
        None,
        "Claude Mythos 5.2",
        "2026-11-09",
        LARGE,
    ),
    model(
        "claude-haiku-5-5",
        None,
        "Claude Haiku 5.5",
        "2026-10-07",
        LARGE,
    ),
    model(
        "claude-sonnet-5-5",
        None,
        "Claude Sonnet 5.5",
        "2026-09-28",
        LARGE,
    ),
    model(
        "claude-opus-5-5",
        None,
        "Claude Opus 5.5",
        "2026-09-22",
        LARGE,
    ),
    model(
        "claude-fable-5-1",
        None,
        "Claude Fable 5.1",
        "2026-09-01",
        LARGE,
    ),
    model(
        "claude-mythos-5-1",
        None,
        "Claude Mythos 5.1",
        "2026-09-01",
        LARGE,
    ),
    model("claude-opus-5", None, "Claude Opus 5", "2026-07-24", LARGE),
    model(
        "claude-sonnet-5",
        None,
        "Claude Sonnet 5",
        "2026-06-30",
        LARGE,
    ),
    model(
        "claude-fable-5",
        None,
        "Claude Fable 5",
        "2026-06-09",
        LARGE,
    ),
    model(
        "claude-mythos-5",
        None,
        "Claude Mythos 5",
        "2026-06-09",
        LARGE,
    ),
    model(
        "claude-opus-4-8",
        None,
        "Claude Opus 4.8",
        "2026-05-28",
        LARGE,
    ),
    model(
        "claude-opus-4-7",
        None,
        "Claude Opus 4.7",
        "2026-04-16",
        LARGE,
    ),
    model(
        "claude-sonnet-4-6",
        None,
        "Claude Sonnet 4.6",
        "2026-02-17",
        LARGE,
    ),
    model(
        "claude-opus-4-6",
        None,
        "Claude Opus 4.6",
        "2026-02-05",
        LARGE,
    ),
    model(
        "claude-opus-4-5-20251101",
        Some("claude-opus-4-5"),
        "Claude Opus 4.5",
        "2025-11-24",
        SMALL,
    ),
    model(
        "claude-haiku-4-5-20251001",
        Some("claude-haiku-4-5"),
        "Claude Haiku 4.5",
        "2025-10-15",
        SMALL,
    ),
    model(
        "claude-sonnet-4-5-20250929",
        Some("claude-sonnet-4-5"),
        "Claude Sonnet 4.5",
        "2025-09-29",
        SMALL,
    ),
];

const fn model(
    id: &'static str,
    alias: Option<&'static str>,
    display_name: &'static str,
    created_on: &'static str,
    (max_input_tokens, max_output_tokens): (u64, u64),
) -> Model {
    Model {
        id,
        alias,
        display_name,
        created_on,
        max_input_tokens,
        max_output_tokens,
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Model> {
    MODELS
        .iter()
        .find(|model| model.id == name || model.alias == Some(name))
}

/// Finds the model for `name`. A name of the family that isn't in the table stands for itself, so that new
/// models can be tried before this table knows them.
pub(crate) fn resolve(name: &str) -> Result<ResolvedModel, ApiError> {
    if let Some(model) = find(name) {
        return Ok(ResolvedModel {
            id: model.id.to_owned(),
            max_output_tokens: model.max_output_tokens,
        });
    }
    if name.starts_with("claude") {
        return Ok(ResolvedModel {
            id: name.to_owned(),
            max_output_tokens: LARGE.1,
        });
    }
    Err(unknown(name))
}

pub(crate) fn unknown(name: &str) -> ApiError {
    ApiError::not_found(format!("model: {name}"))
}

/// A model as the models endpoints describe it.
#[derive(Debug, Serialize)]
pub(crate) struct ModelInfo {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(crate) id: &'static str,
    display_name: &'static str,
    created_at: String,
    max_input_tokens: u64,
    max_tokens: u64,
}

impl From<&Model> for ModelInfo {
    fn from(model: &Model) -> Self {
        Self {
            kind: "model",
            id: model.id,
            display_name: model.display_name,
            created_at: format!("{}T00:00:00Z", model.created_on),
            max_input_tokens: model.max_input_tokens,
            max_tokens: model.max_output_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MODELS, resolve};

    #[test]
    fn names_resolve_to_the_answered_id() {
        let check = |name, expected: Option<&str>| {
            let id = resolve(name).ok().map(|model| model.id);
            assert_eq!(id.as_deref(), expected, "{name}");
        };
        check("claude-sonnet-4-5", Some("claude-sonnet-4-5-20250929"));
        check(
            "claude-sonnet-4-5-20250929",
            Some("claude-sonnet-4-5-20250929"),
        );
        check("claude-opus-5-5", Some("claude-opus-5-5"));
        check("claude-next-9", Some("claude-next-9"));
        check("gpt-4", None);
    }

    #[test]
    fn the_list_is_newest_first() {
        assert!(MODELS.is_sorted_by(|a, b| a.created_on >= b.created_on));
    }
}
