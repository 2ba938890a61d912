//! Which part of the API a request is for: a bounded set, for metrics, events and routing.

use serde::{Deserialize, Serialize};

/// An endpoint, told from the method-independent part of the path below `/v1/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// `/v1/messages`
    Messages,
    /// `/v1/messages/count_tokens`
    CountTokens,
    /// `/v1/messages/batches`, one batch, or its cancellation
    Batches,
    /// `/v1/messages/batches/{id}/results`
    BatchResults,
    /// `/v1/models...`
    Models,
    /// `/v1/files...`
    Files,
    /// `/v1/complete`
    Complete,
    /// `/v1/sessions...`
    Sessions,
    /// `/v1/dreams...`
    Dreams,
    /// `/v1/organizations...`
    Organizations,
    /// Anything else below `/v1/`.
    Other,
}

impl Endpoint {
    /// Every endpoint, for registering metrics.
    pub const ALL: [Self; 11] = [
        Self::Messages,
        Self::CountTokens,
        Self::Batches,
        Self::BatchResults,
        Self::Models,
        Self::Files,
        Self::Complete,
        Self::Sessions,
        Self::Dreams,
        Self::Organizations,
        Self::Other,
    ];

    /// Tells the endpoint from a path; `None` outside `/v1/`.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/")?;
        let mut segments = rest.trim_end_matches('/').split('/');
        let first = segments.next().unwrap_or_default();
        let endpoint = match first {
            "messages" => match (segments.next(), segments.next(), segments.next()) {
                (None, ..) => Self::Messages,
                (Some("count_tokens"), None, _) => Self::CountTokens,
                (Some("batches"), Some(_), Some("results")) => Self::BatchResults,
                (Some("batches"), ..) => Self::Batches,
                _ => Self::Other,
            },
            "models" => Self::Models,
            "files" => Self::Files,
            "complete" => Self::Complete,
            "sessions" => Self::Sessions,
            "dreams" => Self::Dreams,
            "organizations" => Self::Organizations,
            _ => Self::Other,
        };
        Some(endpoint)
    }

    /// The name in metrics and in an event's metadata.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Batches => "batches",
            Self::BatchResults => "batch_results",
            Self::Models => "models",
            Self::Files => "files",
            Self::Complete => "complete",
            Self::Sessions => "sessions",
            Self::Dreams => "dreams",
            Self::Organizations => "organizations",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_endpoint() {
        for (path, expected) in [
            ("/v1/messages", Some(Endpoint::Messages)),
            ("/v1/messages/", Some(Endpoint::Messages)),
            ("/v1/messages/count_tokens", Some(Endpoint::CountTokens)),
            ("/v1/messages/batches", Some(Endpoint::Batches)),
            ("/v1/messages/batches/msgbatch_1", Some(Endpoint::Batches)),
            (
                "/v1/messages/batches/msgbatch_1/cancel",
                Some(Endpoint::Batches),
            ),
            (
                "/v1/messages/batches/msgbatch_1/results",
                Some(Endpoint::BatchResults),
            ),
            ("/v1/messages/unheard_of", Some(Endpoint::Other)),
            ("/v1/models/claude-opus-5", Some(Endpoint::Models)),
            ("/v1/files", Some(Endpoint::Files)),
            ("/v1/sessions/s/events", Some(Endpoint::Sessions)),
            ("/v1/dreams/drm_1", Some(Endpoint::Dreams)),
            ("/v1/skills", Some(Endpoint::Other)),
            ("/v1", None),
            ("/v2/messages", None),
            ("/", None),
        ] {
            assert_eq!(Endpoint::of_path(path), expected, "{path}");
        }
    }
}
