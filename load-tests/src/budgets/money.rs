//! Amounts in picodollars, and the prices of the models that these runs ask for.

use serde_json::{Value, json};

/// Models of their own, so that no list price that changes changes a run. The last ones are dearer: their estimates are
/// refused while those of the others still fit.
pub(super) const MODELS: usize = 8;
/// Costs a dollar a token: whoever asks for it is refused, and told what was spent.
pub(super) const PROBE: &str = "claude-budgets-probe";

/// The model of a pair of key and model.
pub(super) fn model(index: usize) -> String {
    format!("claude-budgets-{index}")
}

/// Picodollars a token: input, output.
pub(super) fn prices(index: usize) -> (u64, u64) {
    let factor = match index {
        7 => 5,
        6 => 3,
        _ => 1,
    };
    (factor * 100_000, factor * 500_000)
}

/// What the gateway shall reckon with.
pub(super) fn price_book() -> Value {
    let of_model = |index: usize| {
        let (input, output) = prices(index);
        let per_million = |tenths: u64| format!("{}.{:03}", tenths / 1_000, tenths % 1_000);
        // Of picodollars a token, a million tokens cost as many micros of a dollar.
        let (input, output) = (input / 1_000, output / 1_000);
        json!({
            "id": model(index),
            "prices": [{
                "input": per_million(input),
                "output": per_million(output),
                "cache_write_5m": per_million(input * 5 / 4),
                "cache_write_1h": per_million(input * 2),
                "cache_read": per_million(input / 10),
            }],
        })
    };
    let a_dollar = "1000000";
    let probe = json!({
        "id": PROBE,
        "prices": [{
            "input": a_dollar, "output": a_dollar, "cache_write_5m": a_dollar, "cache_write_1h": a_dollar, "cache_read": a_dollar,
        }],
    });
    let models: Vec<_> = (0..MODELS).map(of_model).chain([probe]).collect();
    json!({
        "version": "budgets",
        "currency": "USD",
        "unit": "USD per 1,000,000 tokens",
        "web_search_per_1000": "10",
        "models": models,
    })
}

/// A decimal number of units of so many digits behind the point, which has no more of them.
pub(super) fn decimal(text: &str, digits: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > digits {
        return None;
    }
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

/// Dollars, in picodollars.
pub(super) fn of_dollars(text: &str) -> Option<u64> {
    decimal(text, 12)
}

/// Cents, in picodollars.
pub(super) fn of_cents(text: &str) -> Option<u64> {
    decimal(text, 10)
}

/// In cents, to the picodollar.
pub(super) fn cents(picodollars: u64) -> String {
    let (whole, rest) = (
        picodollars / 10_000_000_000,
        format!("{:010}", picodollars % 10_000_000_000),
    );
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{rest}")
    }
}
