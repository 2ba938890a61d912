//! What one answer consumed, as the Claude API reports it.

mod object;
mod plain;

use serde::{Deserialize, Serialize};

pub use object::{Figure, UsageObject};

/// Token counters of one request, in tokens.
///
/// The whole prompt is `input + cache_write + cache_read`: the API's `input_tokens` is the uncached
/// part alone, and so is `input` here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Uncached input.
    pub input: u64,
    /// Output, thinking included.
    pub output: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Input written to the cache, whatever its lifetime.
    pub cache_write: u64,
    /// The part of `cache_write` that lives for an hour.
    pub cache_write_1h: u64,
}

impl TokenCounts {
    /// The whole prompt.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_read)
    }
}

/// A usage object as received, and what it says in our terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The counters; where `raw` lists iterations, their sum.
    pub tokens: TokenCounts,
    /// Web searches the server made.
    pub web_search_requests: u64,
    /// `standard`, `priority`, `batch`, where the answer says.
    pub service_tier: Option<String>,
    /// The object itself, kept so that an event can be explained and priced again; for a stream, the
    /// first one with later ones laid over it.
    pub raw: UsageObject,
}

impl Usage {
    /// How long an agent ran, in milliseconds, where the object says so.
    #[must_use]
    pub fn active_ms(&self) -> u64 {
        self.raw.number("active_seconds").map_or(0, whole_ms)
    }
}

/// Seconds in milliseconds, as far as they make sense.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and what is no number becomes 0"
)]
pub fn whole_ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
