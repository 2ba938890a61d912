//! A message's usage, from one usage object or from the several of a stream.
//!
//! Guarantees: a later object overwrites what it names and keeps what it leaves out or sets to null;
//! nothing is ever added or compared. A figure that makes no sense counts as left out, and so does a member beyond
//! [`MOST_MEMBERS`]; the tally remembers that it is not the whole truth.

use domain::{TokenCounts, Usage, UsageQuality};
use serde_json::{Map, Value};

use super::fields::Figures;

/// Usage so far.
#[derive(Debug)]
pub(super) struct Tally {
    usage: Usage,
    /// The largest count that makes sense.
    most: u64,
    has_input: bool,
    has_output: bool,
    /// A figure made no sense.
    flawed: bool,
}

/// What a column holds. No request consumes as much.
const MOST: u64 = i32::MAX as u64;
/// What a database counts. Nothing ever consumes as much.
const MOST_OF_MANY: u64 = i64::MAX as u64;

/// Members kept. The API's usage has a dozen; without a bound, a stream of ever new ones would grow for as long as it lasts.
pub(super) const MOST_MEMBERS: usize = 128;

/// A counter in a usage object.
enum Figure {
    Absent,
    Is(u64),
    Senseless,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            usage: Usage::default(),
            most: MOST,
            has_input: false,
            has_output: false,
            flawed: false,
        }
    }
}

impl Tally {
    /// Of something that makes many requests.
    pub(super) fn of_many_requests() -> Self {
        Self {
            most: MOST_OF_MANY,
            ..Self::default()
        }
    }

    /// Lays a usage object over the earlier ones. Says whether there was one to be read.
    pub(super) fn lay(&mut self, figures: Figures) -> bool {
        match figures {
            Figures::None => false,
            Figures::Unreadable => {
                self.flawed = true;
                false
            }
            Figures::Object(object) => {
                self.lay_object(object);
                true
            }
        }
    }

    fn lay_object(&mut self, mut object: Map<String, Value>) {
        if let Some(input) = self.read(&object, "input_tokens") {
            self.usage.tokens.input = input;
            self.has_input = true;
        }
        if let Some(output) = self.read(&object, "output_tokens") {
            self.usage.tokens.output = output;
            self.has_output = true;
        }
        if let Some(cache_read) = self.read(&object, "cache_read_input_tokens") {
            self.usage.tokens.cache_read = cache_read;
        }
        self.lay_cache_writes(&object);
        if let Some(tools) = object.get("server_tool_use").and_then(Value::as_object)
            && let Some(searches) = self.read(tools, "web_search_requests")
        {
            self.usage.web_search_requests = searches;
        }
        if let Some(tier) = object.get("service_tier").and_then(Value::as_str) {
            self.usage.service_tier = Some(tier.to_owned());
        }
        self.check_iterations(&object);
        object.retain(|_, value| !value.is_null());
        if self.usage.raw.is_empty() && object.len() <= MOST_MEMBERS {
            self.usage.raw = object;
            return;
        }
        for (name, value) in object {
            self.keep(name, value);
        }
    }

    fn keep(&mut self, name: String, value: Value) {
        let raw = &mut self.usage.raw;
        if raw.len() < MOST_MEMBERS || raw.contains_key(&name) {
            raw.insert(name, value);
        } else {
            self.flawed = true;
        }
    }

    /// The total is authoritative where it is named: a stream's end may raise it above the split of its
    /// start, by writes that live for five minutes. Where only the split is named, its sum is the total.
    fn lay_cache_writes(&mut self, object: &Map<String, Value>) {
        let split = object.get("cache_creation").and_then(Value::as_object);
        let of_split = |tally: &mut Self, key| split.and_then(|split| tally.read(split, key));
        let five_minutes = of_split(self, "ephemeral_5m_input_tokens");
        let one_hour = of_split(self, "ephemeral_1h_input_tokens");
        if let Some(one_hour) = one_hour {
            self.usage.tokens.cache_write_1h = one_hour;
        }
        let sum = [five_minutes, one_hour].into_iter().flatten();
        let sum = sum.reduce(u64::saturating_add);
        if let Some(total) = self.read(object, "cache_creation_input_tokens").or(sum) {
            self.usage.tokens.cache_write = total;
        }
    }

    /// They are added up where they are priced; here it is only seen whether they can be.
    fn check_iterations(&mut self, object: &Map<String, Value>) {
        let entries = match object.get("iterations") {
            None | Some(Value::Null) => return,
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.flawed = true;
                return;
            }
        };
        for entry in entries {
            let Some(entry) = entry.as_object() else {
                self.flawed = true;
                continue;
            };
            for key in ["input_tokens", "output_tokens"] {
                self.flawed |= self.read(entry, key).is_none();
            }
            for key in ["cache_read_input_tokens", "cache_creation_input_tokens"] {
                let _none_is_none = self.read(entry, key);
            }
        }
    }

    /// A counter, if it is there and makes sense.
    fn read(&mut self, object: &Map<String, Value>, key: &str) -> Option<u64> {
        match figure(object.get(key), self.most) {
            Figure::Is(count) => Some(count),
            Figure::Absent => None,
            Figure::Senseless => {
                self.flawed = true;
                None
            }
        }
    }

    /// Takes an estimate of the output in place of a smaller figure.
    pub(super) fn output_at_least(&mut self, tokens: u64) {
        let output = &mut self.usage.tokens.output;
        *output = tokens.max(*output);
    }

    /// The quality of final figures.
    pub(super) fn quality(&self) -> UsageQuality {
        if self.flawed || !self.has_input || !self.has_output {
            UsageQuality::Partial
        } else {
            UsageQuality::Exact
        }
    }

    /// The model that a `fallback_message` turn names, of the last one.
    pub(super) fn fallback_model(&self) -> Option<&str> {
        let turns = self.usage.raw.get("iterations")?.as_array()?;
        let is_fallback =
            |turn: &&Value| turn.get("type").and_then(Value::as_str) == Some("fallback_message");
        turns.iter().rfind(is_fallback)?.get("model")?.as_str()
    }

    pub(super) fn into_usage(self) -> Usage {
        let mut usage = self.usage;
        // The top level leaves out what advisors and compaction consumed.
        if let Some(sum) = usage.tokens_of_iterations() {
            let output = sum.output.max(usage.tokens.output);
            usage.tokens = TokenCounts { output, ..sum };
        }
        // A part is never more than the whole, whatever was received.
        usage.tokens.cache_write_1h = usage.tokens.cache_write_1h.min(usage.tokens.cache_write);
        usage
    }
}

fn figure(value: Option<&Value>, most: u64) -> Figure {
    match value {
        None | Some(Value::Null) => Figure::Absent,
        Some(value) => value
            .as_u64()
            .filter(|count| *count <= most)
            .map_or(Figure::Senseless, Figure::Is),
    }
}
