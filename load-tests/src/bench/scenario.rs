//! What is asked in a measurement: one file each, in `load-tests/scenarios/`.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

/// Events of a stream beside the deltas: the message and its block begin and end.
pub(super) const FRAMING_EVENTS: u32 = 5;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) title: String,
    /// What it stands for.
    pub(super) about: String,
    /// Among the others, in tables.
    order: u32,
    pub(super) connections: u32,
    /// All connections together, whether or not answers come in time; as many as are answered, if there is none.
    pub(super) per_second: Option<u32>,
    /// Instead of `per_second`: half of what the slowest of all who are measured answers in that other scenario.
    pub(super) half_of: Option<String>,
    /// No more than so many in a turn, whatever the rate.
    pub(super) requests_per_turn: Option<u64>,
    /// How many of them are used by turns.
    #[serde(default = "one")]
    pub(super) keys: u32,
    /// Made and soon revoked, while the gateway is asked with another.
    #[serde(default)]
    pub(super) new_keys_per_second: u32,
    /// Each request comes with another key that nobody made. Only the gateway is asked: others let it pass.
    #[serde(default)]
    pub(super) unknown_keys: bool,
    /// Where a turn takes so long that fewer have to do.
    pub(super) rounds: Option<usize>,
    /// What is asked, mixed by weight.
    #[serde(rename = "request")]
    pub(super) requests: Vec<Asked>,
    /// The name of its file, without the ending.
    #[serde(skip)]
    pub(super) name: String,
}

/// A kind of request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Of the sum of all.
    #[serde(default = "one")]
    pub(super) weight: u32,
    /// Of its body, about.
    pub(super) bytes: usize,
    /// Beyond those that every request has.
    #[serde(default)]
    pub(super) headers: u32,
    /// Of the value of each of them.
    #[serde(default)]
    pub(super) header_bytes: usize,
    /// Of the answer, if it is no stream.
    #[serde(default = "one")]
    pub(super) output_tokens: u32,
    /// The answer is a stream of so many.
    pub(super) events: Option<u32>,
    /// Between two events.
    #[serde(default)]
    pub(super) interval_ms: u32,
    /// How slowly the body is sent.
    pub(super) sent: Option<Pace>,
    /// How slowly the answer is read.
    pub(super) read: Option<Pace>,
}

/// So much at once, and a pause before more.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pace {
    pub(super) bytes: usize,
    pub(super) every_ms: u64,
}

impl Pace {
    pub(super) fn pause(self) -> Duration {
        Duration::from_millis(self.every_ms)
    }
}

fn one() -> u32 {
    1
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
        for scenario in &all {
            scenario.check_half(&all)?;
        }
        Ok(all)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let mut read: Self = toml::from_str(&text).map_err(|error| told(&error))?;
        let name = path.file_stem().unwrap_or_default();
        read.name = name.to_string_lossy().into_owned();
        read.check().map_err(|complaint| told(&complaint))?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        let weights = self.requests.iter().map(|asked| asked.weight);
        let counts = [self.connections, self.keys, self.per_second.unwrap_or(1)];
        let paces = self
            .requests
            .iter()
            .flat_map(|asked| [asked.sent, asked.read]);
        let least = FRAMING_EVENTS + 1;
        let streams = self.requests.iter().filter_map(|asked| asked.events);
        if self.requests.is_empty()
            || self.requests_per_turn == Some(0)
            || weights.chain(counts).any(|count| count == 0)
        {
            return Err("requests, weights, connections, keys and rates are at least 1".into());
        }
        if paces.flatten().any(|pace| pace.bytes == 0) {
            return Err("a pace is of one byte at least".into());
        }
        if streams.min().is_some_and(|events| events < least) {
            return Err(format!("a stream has {least} events or more"));
        }
        if self.per_second.is_some() && self.half_of.is_some() {
            return Err("per_second and half_of exclude each other".into());
        }
        if self.unknown_keys && (self.keys > 1 || self.new_keys_per_second > 0) {
            return Err("keys that are unknown aren't made".into());
        }
        Ok(())
    }

    /// Half of what is measured without a rate, and by everybody.
    fn check_half(&self, all: &[Self]) -> Result<(), String> {
        let Some(of) = &self.half_of else {
            return Ok(());
        };
        let saturates = |other: &Self| {
            other.name == *of
                && other.per_second.is_none()
                && other.half_of.is_none()
                && !other.unknown_keys
        };
        if all.iter().any(saturates) {
            return Ok(());
        }
        Err(format!(
            "{}: half_of names a scenario without a rate, and that is asked of everybody: {of} is none",
            self.name
        ))
    }

    /// With less of everything that takes long, to see that it works.
    pub(super) fn shortened(mut self) -> Self {
        self.connections = self.connections.min(32);
        self.keys = self.keys.min(100);
        for asked in &mut self.requests {
            asked.bytes = asked.bytes.min(1 << 20);
            asked.events = asked.events.map(|events| events.min(500));
            asked.interval_ms = asked.interval_ms.min(5);
        }
        self
    }

    /// Of each answer, if all are streams of the same length.
    pub(super) fn events(&self) -> Option<u32> {
        match self.requests.as_slice() {
            [asked] => asked.events,
            _ => None,
        }
    }

    /// Whether the upstream pauses between events.
    pub(super) fn is_paced(&self) -> bool {
        self.requests.iter().any(|asked| asked.interval_ms > 0)
    }

    /// What every answer has to say.
    pub(super) fn expected(&self) -> StatusCode {
        if self.unknown_keys {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::OK
        }
    }
}

#[cfg(test)]
mod tests;
