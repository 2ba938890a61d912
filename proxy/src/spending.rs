//! What was spent, by model, for the metrics: exact, where the registry's own counters have no fractions.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Picodollars, model};

/// Totals since the start, shared by all threads. One addition for each event: not worth a copy for each thread.
#[derive(Debug)]
pub struct Spending {
    /// In the order of the labels.
    totals: Vec<AtomicU64>,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            totals: model::labels().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Spending {
    /// Adds to a model's total.
    pub(crate) fn add(&self, model: &str, amount: Picodollars) {
        if let Some(total) = self.totals.get(model::label_index(model)) {
            // Relaxed: a number for people to look at.
            total.fetch_add(amount.0, Ordering::Relaxed);
        }
    }

    /// In Prometheus' text format; models without spending are left out.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from(
            "# HELP mindweave_cost_usd_total What metered usage cost at the prices in force, in US dollars, by model\n\
             # TYPE mindweave_cost_usd_total counter\n",
        );
        for (label, total) in model::labels().zip(&self.totals) {
            let total = Picodollars(total.load(Ordering::Relaxed));
            if total > Picodollars::ZERO {
                // Writing to a string doesn't fail.
                let _written = writeln!(
                    text,
                    "mindweave_cost_usd_total{{model=\"{label}\"}} {total}"
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_exact_and_by_model() {
        let spending = Spending::default();
        spending.add("claude-haiku-4-5-20251001", Picodollars(1));
        spending.add("claude-haiku-4-5", Picodollars(4_500_000));
        spending.add("something else", Picodollars::DOLLAR);
        let text = spending.render();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "mindweave_cost_usd_total{model=\"claude-haiku-4-5\"} 0.000004500001",
                "mindweave_cost_usd_total{model=\"other\"} 1",
            ]
        );
    }
}
