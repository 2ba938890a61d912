//! What a request is expected to use, in the unit that a budget asks for.

use domain::Picodollars;

use super::estimate::Estimates;
use super::{Amounts, Ask};
use crate::limit::Metric;

/// Its cost is looked up when the first budget wants it.
pub(super) struct Expected<P> {
    amounts: Amounts,
    works: bool,
    /// Whether the amounts are those that were used in the end.
    is_known: bool,
    price: Option<P>,
    cost: Option<u64>,
}

impl<P: FnOnce(u64, u64) -> Option<Picodollars>> Expected<P> {
    pub(super) fn new(ask: &Ask<'_>, estimates: &Estimates, price: P) -> Self {
        if let Some(amounts) = ask.known {
            return Self {
                amounts,
                works: ask.works,
                is_known: true,
                price: Some(price),
                cost: None,
            };
        }
        let (input_tokens, output_tokens) = if ask.works {
            estimates.of(ask.holder.key_id, ask.model, ask.body_bytes, ask.max_tokens)
        } else {
            (0, 0)
        };
        Self {
            amounts: Amounts {
                input_tokens,
                output_tokens,
                requests: 1,
                cost: 0,
            },
            works: ask.works,
            is_known: false,
            price: Some(price),
            cost: None,
        }
    }

    /// Whoever works uses something. `None`: nobody knows what it costs.
    pub(super) fn amount(&mut self, metric: Metric) -> Option<u64> {
        if metric == Metric::Requests || !self.works {
            return Some(self.amounts.of(metric));
        }
        if metric == Metric::Cost {
            if let Some(price) = self.price.take() {
                let Amounts {
                    input_tokens,
                    output_tokens,
                    cost: known,
                    ..
                } = self.amounts;
                let cost = price(input_tokens, output_tokens);
                let cost = cost.map(|cost| if self.is_known { known } else { cost.0 });
                self.cost = cost.map(|cost| cost.max(1));
            }
            return self.cost;
        }
        Some(self.amounts.of(metric).max(1))
    }
}
