//! What a request will use, before anybody knows: from the size of its body, and from what its key and model used lately.

use domain::ApiKeyId;
use rustc_hash::FxHashMap;

use crate::budget::model_hash;

/// Of answers whose length isn't known yet, in tokens.
const FIRST_OUTPUT_TOKENS: f32 = 1_024.0;
/// Of models whose input isn't known yet, in bytes of JSON per token. Few bytes make a large estimate.
const FIRST_BYTES_PER_TOKEN: f32 = 3.0;
/// The share of answers that shall stay below the estimate.
const QUANTILE: f32 = 0.9;
/// How much one answer moves it.
const STEP: f32 = 0.1;
/// How much one request moves the bytes per token.
const WEIGHT: f32 = 0.05;
/// Beyond so many pairs of key and model, those of keys that come new begin at the first estimate again.
const MOST_PAIRS: usize = 1 << 20;
/// Names of models come from callers.
const MOST_MODELS: usize = 1_024;

/// What was seen in one organization.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    outputs: FxHashMap<(ApiKeyId, u64), f32>,
    bytes_per_token: FxHashMap<u64, f32>,
}

impl Estimates {
    /// Input and output, in tokens.
    pub(super) fn of(
        &self,
        key_id: ApiKeyId,
        model: &str,
        body_bytes: u64,
        max_tokens: u64,
    ) -> (u64, u64) {
        let model = model_hash(model);
        let ratio = self.bytes_per_token.get(&model);
        let ratio = ratio.copied().unwrap_or(FIRST_BYTES_PER_TOKEN);
        let output = self.outputs.get(&(key_id, model));
        let output = tokens(output.copied().unwrap_or(FIRST_OUTPUT_TOKENS));
        let output = if max_tokens == 0 {
            output
        } else {
            output.min(max_tokens)
        };
        (tokens(float(body_bytes) / ratio), output)
    }

    /// Learns from an answer that came whole. A quantile is where as much pulls up as down: few long answers, many short ones.
    pub(super) fn learn(
        &mut self,
        key_id: ApiKeyId,
        model: &str,
        body_bytes: u64,
        (input, output): (u64, u64),
    ) {
        let model = model_hash(model);
        if self.outputs.len() >= MOST_PAIRS {
            self.outputs.clear();
        }
        let estimate = self.outputs.entry((key_id, model));
        let estimate = estimate.or_insert(FIRST_OUTPUT_TOKENS);
        let up = float(output) > *estimate;
        let pull = if up {
            STEP * QUANTILE
        } else {
            STEP * (QUANTILE - 1.0)
        };
        *estimate = (*estimate * (1.0 + pull)).clamp(1.0, 1e9);
        if input == 0 || body_bytes == 0 || self.bytes_per_token.len() >= MOST_MODELS {
            return;
        }
        let seen = (float(body_bytes) / float(input)).clamp(0.1, 100.0);
        let ratio = self.bytes_per_token.entry(model);
        let ratio = ratio.or_insert(FIRST_BYTES_PER_TOKEN);
        *ratio += WEIGHT * (seen - *ratio);
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn float(count: u64) -> f32 {
    count as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, and not negative"
)]
fn tokens(count: f32) -> u64 {
    count.ceil() as u64
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const KEY: ApiKeyId = ApiKeyId(Uuid::nil());

    #[test]
    fn output_is_what_most_answers_stay_below() {
        let mut estimates = Estimates::default();
        // 1 to 1,000 tokens, all as often, in no order.
        let outputs = (0..20_000_u64).map(|n| n * 7_919 % 1_000 + 1);
        for output in outputs {
            estimates.learn(KEY, "claude-opus-5", 300, (100, output));
        }
        let (input, output) = estimates.of(KEY, "claude-opus-5-20260101", 3_000, 0);
        assert!((750..=1_100).contains(&output), "{output}");
        assert_eq!(input, 1_000);
        assert_eq!(estimates.of(KEY, "claude-opus-5", 3_000, 50).1, 50);
    }

    #[test]
    fn what_nobody_has_seen_has_a_first_estimate() {
        let estimates = Estimates::default();
        assert_eq!(estimates.of(KEY, "x", 3_001, 0), (1_001, 1_024));
        assert_eq!(estimates.of(KEY, "x", 0, 1_000_000), (0, 1_024));
    }
}
