//! A sum over many requests, taken apart again into what it was made of.
//!
//! Guarantees: the parts add up to the sum, to the picodollar, whatever the book says; they are exact where the book that made the
//! sum is at hand and its prices were the same for all of the requests.

use super::leg::{Leg, LegKind};
use super::{Item, PriceBook};
use crate::{Timestamp, TokenCounts};

/// Beyond this many bits weights are shortened: products have to fit.
const WEIGHT_BITS: u32 = 48;

/// Requests that have all been priced alike, added up.
#[derive(Debug, Clone, Copy)]
pub struct Many<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Any of their times.
    pub time: Timestamp,
    /// `standard`, `batch` or another.
    pub service_tier: Option<&'a str>,
    /// Where they ran.
    pub inference_geo: Option<&'a str>,
    /// `standard` or `fast`.
    pub speed: Option<&'a str>,
    /// A prompt that is as long as theirs, where the price depends on that; in tokens.
    pub prompt: u64,
    /// What they consumed.
    pub tokens: TokenCounts,
    /// The web searches.
    pub web_search_requests: u64,
    /// The time that agents ran, in units of 36 ms.
    pub session_units: u64,
}

impl PriceBook {
    /// What each item comes to in picodollars, by this book; without what it has no price of.
    #[must_use]
    pub fn parts(&self, many: &Many<'_>) -> Vec<(Item, u128)> {
        let leg = Leg {
            kind: LegKind::Message,
            model: many.model,
            tokens: many.tokens,
            service_tier: many.service_tier,
            inference_geo: many.inference_geo,
            speed: many.speed,
            declined: false,
        };
        let of_tokens = self.unit_prices(&leg, many.time, many.prompt);
        let session = u128::from(self.session_unit.unwrap_or_default().0);
        let of_all = [
            (
                Item::WebSearch,
                many.web_search_requests,
                u128::from(self.web_search.0),
            ),
            (Item::SessionTime, many.session_units, session),
        ];
        let items = of_tokens.into_iter().flatten().chain(of_all);
        let amounts = items.map(|(item, count, price)| (item, u128::from(count) * price));
        amounts.filter(|(_, amount)| *amount > 0).collect()
    }
}

/// Takes `total` apart: into `parts`, if that is what they add up to, else in proportion to them. Into nothing, if there is
/// nothing to go by.
#[must_use]
pub fn split(total: u128, parts: &[(Item, u128)]) -> Vec<(Item, u128)> {
    let sum: u128 = parts.iter().map(|(_, part)| part).sum();
    if sum == total {
        return parts.to_vec();
    }
    let length = u128::BITS - sum.leading_zeros();
    let shift = length.saturating_sub(WEIGHT_BITS);
    let weights = || parts.iter().map(|(_, part)| part >> shift);
    let whole: u128 = weights().sum();
    let Some(product_fits) = total.checked_mul(whole) else {
        // No amount is that large.
        return Vec::new();
    };
    if product_fits == 0 {
        return Vec::new();
    }
    let mut shares: Vec<_> = parts
        .iter()
        .zip(weights())
        .map(|((item, _), weight)| (*item, total * weight / whole, total * weight % whole))
        .collect();
    // What rounding down has left goes to those who lost most by it, one unit each: there are fewer units than parts.
    let given: u128 = shares.iter().map(|(_, share, _)| share).sum();
    let mut order: Vec<_> = shares.iter_mut().collect();
    order.sort_by_key(|(_, _, lost)| std::cmp::Reverse(*lost));
    let left = usize::try_from(total - given).unwrap_or(0);
    for (_, share, _) in order.into_iter().take(left) {
        *share += 1;
    }
    let shares = shares.into_iter();
    let shares = shares.map(|(item, share, _)| (item, share));
    shares.filter(|(_, share)| *share > 0).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pricing::Charge;
    use crate::{Basis, Usage};

    fn usage(tokens: TokenCounts, searches: u64) -> Usage {
        Usage {
            tokens,
            web_search_requests: searches,
            service_tier: Some("batch".to_owned()),
            ..Usage::default()
        }
    }

    #[test]
    fn of_requests_that_were_priced_alike_the_parts_are_what_was_billed() {
        let book = PriceBook::embedded().unwrap();
        for prompt in [10, 200_000] {
            let tokens = TokenCounts {
                input: prompt,
                output: 7,
                cache_read: 1,
                cache_write: 5,
                cache_write_1h: 2,
            };
            let usage = usage(tokens, 3);
            let charge = Charge {
                model: "claude-haiku-5-5",
                usage: &usage,
                time: Timestamp { unix_micros: 0 },
                free: None,
                span: crate::pricing::Span::Request,
            };
            let cost = book.price(&charge);
            assert!(matches!(cost.basis, Basis::Priced(_)));
            let twice = |count| 2 * count;
            let parts = book.parts(&Many {
                model: charge.model,
                time: charge.time,
                service_tier: Some("batch"),
                inference_geo: None,
                speed: None,
                prompt: tokens.prompt(),
                tokens: TokenCounts {
                    input: twice(tokens.input),
                    output: twice(tokens.output),
                    cache_read: twice(tokens.cache_read),
                    cache_write: twice(tokens.cache_write),
                    cache_write_1h: twice(tokens.cache_write_1h),
                },
                web_search_requests: 6,
                session_units: 0,
            });
            let sum: u128 = parts.iter().map(|(_, part)| part).sum();
            assert_eq!(sum, u128::from(2 * cost.amount.0), "{prompt}");
            assert_eq!(parts.len(), 6);
        }
    }

    #[test]
    fn nothing_to_go_by_gives_nothing() {
        assert_eq!(split(5, &[]), []);
        assert_eq!(split(5, &[(Item::Input, 0)]), []);
        assert_eq!(split(0, &[(Item::Input, 3)]), []);
    }

    #[test]
    fn the_unit_that_is_left_goes_to_who_lost_most() {
        let parts = [(Item::Input, 1), (Item::Output, 2)];
        assert_eq!(split(10, &parts), [(Item::Input, 3), (Item::Output, 7)]);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_total(total in 0..=u128::from(u64::MAX) * 1_000, parts in prop::collection::vec(0..u128::MAX >> 8, 1..7)) {
            let parts: Vec<_> = parts.into_iter().map(|part| (Item::Input, part)).collect();
            let shares = split(total, &parts);
            let sum: u128 = shares.iter().map(|(_, share)| share).sum();
            prop_assert!(sum == total || shares.is_empty());
        }
    }
}
