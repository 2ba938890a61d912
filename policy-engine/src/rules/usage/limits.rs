//! Limits by their names, `max_<what>_per_<window>`.

use crate::limit::{Limit, Metric, Window};
use crate::rules::amount::read_dollars;
use crate::rules::reader::Reader;

/// The highest limit of a count; sums of two of them are far from what a counter holds.
const MOST: u64 = 1_000_000_000_000_000;
/// The highest limit of requests.
pub(crate) const MOST_REQUESTS: u64 = 1_000_000_000;
pub(super) const METRICS: [Metric; 5] = [
    Metric::Tokens,
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::Requests,
    Metric::Cost,
];

/// Every kind of limit there is.
pub(super) fn every() -> impl Iterator<Item = (Metric, Window)> {
    let windows = |metric| Window::ALL.into_iter().map(move |window| (metric, window));
    METRICS.into_iter().flat_map(windows)
}

/// Those of some kinds that an object has.
pub(super) fn read(
    reader: &mut Reader<'_, '_>,
    limits: impl IntoIterator<Item = (Metric, Window)>,
) -> Vec<Limit> {
    let limit = |(metric, window)| {
        let most = reader.optional(&name(metric, window), |item, faults| match metric {
            Metric::Cost => read_dollars(item, faults),
            Metric::Requests => item.whole(0..=MOST_REQUESTS, faults),
            Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => {
                item.whole(0..=MOST, faults)
            }
        })?;
        Some(Limit {
            metric,
            window,
            most,
        })
    };
    limits.into_iter().filter_map(limit).collect()
}

pub(super) fn name(metric: Metric, window: Window) -> String {
    let unit = if metric == Metric::Cost { "_usd" } else { "" };
    format!("max_{}_per_{}{unit}", metric.as_str(), window.as_str())
}
