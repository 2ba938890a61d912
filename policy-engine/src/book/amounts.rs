//! What requests use, in all the units that limits count.

use crate::limit::Metric;

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Input, cache reads and writes, in tokens.
    pub input_tokens: u64,
    /// Output, in tokens.
    pub output_tokens: u64,
    /// Requests.
    pub requests: u64,
    /// In picodollars.
    pub cost: u64,
}

impl Amounts {
    pub(crate) fn of(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            Metric::InputTokens => self.input_tokens,
            Metric::OutputTokens => self.output_tokens,
            Metric::Requests => self.requests,
            Metric::Cost => self.cost,
        }
    }

    /// Whether nothing was used but requests.
    pub(crate) fn is_free(&self) -> bool {
        self.of(Metric::Tokens) == 0 && self.cost == 0
    }

    /// Adds, up to the largest number there is.
    pub fn add(&mut self, other: &Self) {
        let Self {
            input_tokens,
            output_tokens,
            requests,
            cost,
        } = other;
        self.input_tokens = self.input_tokens.saturating_add(*input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(*output_tokens);
        self.requests = self.requests.saturating_add(*requests);
        self.cost = self.cost.saturating_add(*cost);
    }
}
