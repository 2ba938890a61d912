//! The book, and a look into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Basis, Charge, Cost, Free, Item, Leg, Line, Row, SESSION_UNIT_MS, Span, Unpriced};
use crate::model::undated;
use crate::{Picodollars, Timestamp, TokenCounts};

/// A multiplier of 1: they are in ten-thousandths.
pub(super) const ONE: u32 = 10_000;

/// Prices, by model and time. The default has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceBook {
    pub(super) version: Arc<str>,
    pub(super) web_search: Picodollars,
    /// Of [`SESSION_UNIT_MS`].
    pub(super) session_unit: Option<Picodollars>,
    pub(super) models: Vec<Model>,
    /// By id, alias, and both without their date.
    pub(super) by_name: FxHashMap<String, usize>,
}

/// A model's prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(super) id: String,
    /// In the order of time.
    pub(super) prices: Vec<Prices>,
    pub(super) multipliers: Multipliers,
}

/// Prices since some day.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prices {
    pub(super) from: Option<(String, Timestamp)>,
    pub(super) rates: Rates,
    /// Instead, for every token of a request whose prompt has more tokens than this.
    pub(super) long_prompt: Option<(u64, Rates)>,
}

/// What one token costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Uncached input.
    pub input: Picodollars,
    /// Output.
    pub output: Picodollars,
    /// Read from the cache.
    pub cache_read: Picodollars,
    /// Written to the cache for five minutes.
    pub cache_write_5m: Picodollars,
    /// Written to the cache for an hour.
    pub cache_write_1h: Picodollars,
}

/// By the word that usage has for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Multipliers {
    pub(super) service_tier: BTreeMap<String, u32>,
    pub(super) inference_geo: BTreeMap<String, u32>,
    pub(super) speed: BTreeMap<String, u32>,
}

impl PriceBook {
    /// The prices that came with this build.
    ///
    /// # Errors
    /// None that a build with its tests passed would have.
    pub fn embedded() -> Result<Self, super::PriceBookError> {
        Self::parse(include_str!("prices.json"))
    }

    /// What it is stored as in `price_version`.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// How many models it has prices of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether it has no prices at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// A model by its id, an alias, or a dated id of either.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let index = self
            .by_name
            .get(name)
            .or_else(|| self.by_name.get(undated(name)))?;
        self.models.get(*index)
    }

    /// What a request cost.
    #[must_use]
    pub fn price(&self, charge: &Charge<'_>) -> Cost {
        self.explain(charge, |_| {})
    }

    /// The same, with every multiplication on the way.
    pub fn explain<'a>(&'a self, charge: &Charge<'a>, mut on_line: impl FnMut(Line<'a>)) -> Cost {
        let mut sum = Sum::default();
        let mut number = 0;
        charge.usage.for_each_leg(charge.model, |leg| {
            self.price_leg((number, leg), charge, &mut sum, &mut on_line);
            number += 1;
        });
        let of_all = |item, count, price, amount| Line {
            leg: None,
            item,
            count,
            price,
            row: None,
            multipliers: [ONE; 3],
            amount,
        };
        let searches = charge.usage.web_search_requests;
        if searches > 0 {
            let amount = sum.add(product(searches, u128::from(self.web_search.0)), true);
            on_line(of_all(Item::WebSearch, searches, self.web_search, amount));
        }
        let units = match charge.span {
            Span::Request => 0,
            Span::Session { .. } => charge.usage.active_ms() / SESSION_UNIT_MS,
        };
        if units > 0 {
            if self.session_unit.is_none() {
                sum.lacks(Unpriced::SessionTime);
            }
            let price = self.session_unit.unwrap_or_default();
            let amount = sum.add(product(units, u128::from(price.0)), true);
            on_line(of_all(Item::SessionTime, units, price, amount));
        }
        sum.cost(charge.free, &self.version)
    }

    /// Above how long prompts some model has other prices, in tokens.
    pub fn prompt_bounds(&self) -> impl Iterator<Item = u64> {
        let prices = self.models.iter().flat_map(|model| &model.prices);
        prices.filter_map(|prices| Some(prices.long_prompt.as_ref()?.0))
    }

    /// The items of a leg, and what one of each costs if its prompt has so many tokens; none where the model has no price.
    pub(super) fn unit_prices(
        &self,
        leg: &Leg<'_>,
        time: Timestamp,
        prompt: u64,
    ) -> Option<[(Item, u64, u128); 5]> {
        let model = self.model(leg.model)?;
        let (rates, _) = model.at(time)?.rates(prompt);
        let multipliers = model.multipliers.of(leg);
        let multipliers = multipliers.map(|multiplier| multiplier.unwrap_or(ONE));
        let items = rates.items(&leg.tokens);
        Some(items.map(|(item, count, price)| (item, count, multiplied(price, multipliers))))
    }

    fn price_leg<'a>(
        &'a self,
        (number, leg): (usize, Leg<'a>),
        charge: &Charge<'_>,
        sum: &mut Sum,
        on_line: &mut impl FnMut(Line<'a>),
    ) {
        if leg.tokens == TokenCounts::default() {
            return;
        }
        sum.is_used = true;
        let model = self.model(leg.model);
        let found = model.and_then(|model| Some((model, model.at(charge.time)?)));
        let Some((model, prices)) = found else {
            sum.lacks(Unpriced::UnknownModel);
            return;
        };
        let (rates, above_tokens) = match charge.span {
            Span::Request => prices.rates(leg.tokens.prompt()),
            Span::Session { mixed_models } => {
                if mixed_models {
                    sum.lacks(Unpriced::MixedModels);
                } else if prices.long_prompt.is_some() {
                    sum.lacks(Unpriced::PromptLengths);
                }
                (&prices.rates, None)
            }
        };
        let row = Row {
            model: &model.id,
            from: prices.from.as_ref().map(|(day, _)| day.as_str()),
            above_tokens,
        };
        let multipliers = model.multipliers.of(&leg).map(|multiplier| {
            multiplier.unwrap_or_else(|| {
                sum.lacks(Unpriced::UnknownMultiplier);
                ONE
            })
        });
        for (item, count, price) in rates.items(&leg.tokens) {
            if count > 0 {
                let amount = product(count, multiplied(price, multipliers));
                let amount = sum.add(amount, !leg.declined);
                on_line(Line {
                    leg: Some((number, leg)),
                    item,
                    count,
                    price,
                    row: Some(row),
                    multipliers,
                    amount,
                });
            }
        }
    }
}

impl Model {
    /// The id the book has it under.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn at(&self, time: Timestamp) -> Option<&Prices> {
        self.prices
            .iter()
            .rfind(|prices| prices.from.as_ref().is_none_or(|(_, from)| *from <= time))
    }
}

impl Prices {
    fn rates(&self, prompt: u64) -> (&Rates, Option<u64>) {
        match &self.long_prompt {
            Some((above, rates)) if prompt > *above => (rates, Some(*above)),
            _ => (&self.rates, None),
        }
    }
}

impl Rates {
    /// What is multiplied with what.
    pub(super) fn items(&self, tokens: &TokenCounts) -> [(Item, u64, Picodollars); 5] {
        let five_minutes = tokens.cache_write.saturating_sub(tokens.cache_write_1h);
        [
            (Item::Input, tokens.input, self.input),
            (Item::Output, tokens.output, self.output),
            (Item::CacheRead, tokens.cache_read, self.cache_read),
            (Item::CacheWrite5m, five_minutes, self.cache_write_5m),
            (
                Item::CacheWrite1h,
                tokens.cache_write_1h,
                self.cache_write_1h,
            ),
        ]
    }
}

impl Multipliers {
    /// For tier, place and speed; none where the book has no word for it.
    fn of(&self, leg: &Leg<'_>) -> [Option<u32>; 3] {
        let of = |table: &BTreeMap<String, u32>, name: Option<&str>, plain: &[&str]| match name {
            None => Some(ONE),
            Some(name) => table
                .get(name)
                .copied()
                .or_else(|| plain.contains(&name).then_some(ONE)),
        };
        [
            of(&self.service_tier, leg.service_tier, &["standard"]),
            of(
                &self.inference_geo,
                leg.inference_geo,
                &["global", "not_available"],
            ),
            of(&self.speed, leg.speed, &["standard"]),
        ]
    }
}

/// A price after its multipliers: exact, since the book was checked for it.
pub(super) fn multiplied(price: Picodollars, multipliers: [u32; 3]) -> u128 {
    let whole = u128::from(ONE).pow(3);
    multipliers
        .into_iter()
        .fold(u128::from(price.0), |product, multiplier| {
            product * u128::from(multiplier)
        })
        / whole
}

/// `None` if there is no such amount.
fn product(count: u64, price: u128) -> Option<Picodollars> {
    let product = u128::from(count).checked_mul(price)?;
    u64::try_from(product).ok().map(Picodollars)
}

/// A cost in the making.
#[derive(Default)]
struct Sum {
    amount: Picodollars,
    unpriced: Option<Unpriced>,
    is_used: bool,
}

impl Sum {
    /// Adds what is billed. Answers the amount as it goes into a line.
    fn add(&mut self, amount: Option<Picodollars>, billed: bool) -> Picodollars {
        self.is_used = true;
        let sum = amount.and_then(|amount| self.amount.0.checked_add(amount.0));
        match sum {
            Some(sum) if billed => self.amount = Picodollars(sum),
            Some(_) => {}
            None => self.lacks(Unpriced::Overflow),
        }
        amount.unwrap_or_default()
    }

    /// The first reason counts.
    fn lacks(&mut self, reason: Unpriced) {
        self.unpriced.get_or_insert(reason);
    }

    fn cost(self, free: Option<Free>, version: &Arc<str>) -> Cost {
        match (free, self.unpriced) {
            _ if !self.is_used => Cost::default(),
            (Some(free), _) => Cost {
                amount: Picodollars::ZERO,
                basis: Basis::Free(free),
            },
            (None, Some(reason)) => Cost {
                amount: self.amount,
                basis: Basis::Unpriced(reason),
            },
            (None, None) => Cost {
                amount: self.amount,
                basis: Basis::Priced(Arc::clone(version)),
            },
        }
    }
}
