//! What is asked in a measurement: one file each, in `load-tests/scenarios/`.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

/// Events of a stream beside the deltas: the message and its block begin and end.
const FRAMING_EVENTS: u32 = 5;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) title: String,
    /// Among the others, in tables.
    order: u32,
    /// Of a request's body, about.
    request_bytes: usize,
    /// Of an answer; with `events` one for each delta.
    output_tokens: Option<u32>,
    /// The answer is a stream of so many.
    pub(super) events: Option<u32>,
    /// Between two events.
    #[serde(default)]
    interval_ms: u32,
    pub(super) connections: u32,
    /// All connections together, whether or not answers come in time; as many as are answered, if there is none.
    pub(super) per_second: Option<u32>,
    /// The name of its file, without the ending.
    #[serde(skip)]
    pub(super) name: String,
}

/// A request that is asked again and again.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: bytes::Bytes,
}

impl Scenario {
    /// All of a folder, in their order.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| told(&error))? {
            let path = entry.map_err(|error| told(&error))?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                all.push(Self::read(&path)?);
            }
        }
        all.sort_by_key(|scenario| scenario.order);
        Ok(all)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let mut read: Self = toml::from_str(&text).map_err(|error| told(&error))?;
        let name = path.file_stem().unwrap_or_default();
        read.name = name.to_string_lossy().into_owned();
        if read.connections == 0 || read.per_second == Some(0) {
            return Err(told(&"connections and per_second are at least 1"));
        }
        if read.events.is_some_and(|events| events <= FRAMING_EVENTS) {
            let least = FRAMING_EVENTS + 1;
            return Err(told(&format_args!("a stream has {least} events or more")));
        }
        Ok(read)
    }

    pub(super) fn question(&self) -> Question {
        let ask = |text: &str| {
            let asked = json!({
                "model": "claude-opus-5",
                "max_tokens": 100_000,
                "stream": self.events.is_some(),
                "messages": [{"role": "user", "content": text}],
            });
            asked.to_string()
        };
        let padding = self.request_bytes.saturating_sub(ask("").len());
        let text = "Tell me a story about rivers. ".repeat(padding / 30 + 1);
        let body = ask(text.get(..padding).unwrap_or_default());
        let tokens = match self.events {
            Some(events) => events - FRAMING_EVENTS,
            None => self.output_tokens.unwrap_or(1),
        };
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("anthropic-version", "2023-06-01".to_owned()),
            ("x-simulator-output-tokens", tokens.to_string()),
            ("x-simulator-tokens-per-event", "1".to_owned()),
            (
                "x-simulator-event-interval-ms",
                self.interval_ms.to_string(),
            ),
        ];
        Question {
            headers,
            body: body.into(),
        }
    }

    /// How long an answer may take before the run is given up.
    pub(super) fn patience(&self) -> Duration {
        let paced = self.interval_ms * self.events.unwrap_or(0);
        Duration::from_secs(30) + Duration::from_millis(paced.into())
    }
}
