//! Percentiles, medians, rates.

use std::time::Duration;

use crate::callers::{Call, Outcome};

/// How long requests took, or whatever else takes time.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of those that were answered.
    pub(crate) fn of(calls: &[Call]) -> Self {
        let answered = |call: &&Call| matches!(call.outcome, Outcome::Answered(_));
        let took = calls.iter().filter(answered).map(|call| call.took);
        Self::new(took.collect())
    }

    pub(crate) fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        Self(took)
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = self.0.len() * percent / 100;
        let at = at.min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// The one in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// How many answers were none, or said no.
pub(crate) fn unanswered(calls: &[Call]) -> usize {
    let bad = |call: &&Call| !matches!(call.outcome, Outcome::Answered(_));
    calls.iter().filter(bad).count()
}
