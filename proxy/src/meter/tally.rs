//! A message's usage, from one usage object or from the several of a stream.
//!
//! Guarantees: a later object overwrites what it names and keeps what it leaves out or sets to null;
//! nothing is ever added or compared. A figure that makes no sense counts as left out, and so does a member beyond
//! [`MOST_MEMBERS`]; the tally remembers that it is not the whole truth.

use domain::{Figure, TokenCounts, Usage, UsageObject, UsageQuality};
use serde_json::Value;

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

    fn lay_object(&mut self, object: UsageObject) {
        if let Some(input) = self.read(object.figure("input_tokens")) {
            self.usage.tokens.input = input;
            self.has_input = true;
        }
        if let Some(output) = self.read(object.figure("output_tokens")) {
            self.usage.tokens.output = output;
            self.has_output = true;
        }
        if let Some(cache_read) = self.read(object.figure("cache_read_input_tokens")) {
            self.usage.tokens.cache_read = cache_read;
        }
        self.lay_cache_writes(&object);
        let searches = object.figure_in("server_tool_use", "web_search_requests");
        if let Some(searches) = self.read(searches) {
            self.usage.web_search_requests = searches;
        }
        if let Some(tier) = object.word("service_tier") {
            self.usage.service_tier = Some(tier.to_owned());
        }
        self.check_iterations(&object);
        self.flawed |= !self.usage.raw.lay(object, MOST_MEMBERS);
    }

    /// The total is authoritative where it is named: a stream's end may raise it above the split of its
    /// start, by writes that live for five minutes. Where only the split is named, its sum is the total.
    fn lay_cache_writes(&mut self, object: &UsageObject) {
        let of_split = |name| object.figure_in("cache_creation", name);
        let five_minutes = self.read(of_split("ephemeral_5m_input_tokens"));
        let one_hour = self.read(of_split("ephemeral_1h_input_tokens"));
        if let Some(one_hour) = one_hour {
            self.usage.tokens.cache_write_1h = one_hour;
        }
        let sum = [five_minutes, one_hour].into_iter().flatten();
        let sum = sum.reduce(u64::saturating_add);
        let total = self.read(object.figure("cache_creation_input_tokens"));
        if let Some(total) = total.or(sum) {
            self.usage.tokens.cache_write = total;
        }
    }

    /// They are added up where they are priced; here it is only seen whether they can be.
    fn check_iterations(&mut self, object: &UsageObject) {
        let entries = match object.iterations() {
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
                self.flawed |= self.read(Figure::of(entry.get(key))).is_none();
            }
            for key in ["cache_read_input_tokens", "cache_creation_input_tokens"] {
                let _none_is_none = self.read(Figure::of(entry.get(key)));
            }
        }
    }

    /// A counter, if it is there and makes sense.
    fn read(&mut self, figure: Figure) -> Option<u64> {
        match figure {
            Figure::Is(count) if count <= self.most => Some(count),
            Figure::Absent => None,
            Figure::Is(_) | Figure::Senseless => {
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
        let turns = self.usage.raw.iterations()?.as_array()?;
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
