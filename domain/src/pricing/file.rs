//! The book as a file: JSON, checked in all its parts before any of it counts.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::book::{Model, Multipliers, ONE, PriceBook, Prices, Rates, multiplied};
use super::{SESSION_UNITS_PER_HOUR, decimal};
use crate::model::undated;
use crate::{Picodollars, Timestamp};

/// What is wrong with a book, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceBookError(String);

impl std::fmt::Display for PriceBookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PriceBookError {}

type Checked<T> = Result<T, PriceBookError>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookFile {
    version: String,
    currency: String,
    unit: String,
    web_search_per_1000: String,
    session_per_hour: Option<String>,
    models: Vec<ModelFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    prices: Vec<PricesFile>,
    #[serde(default)]
    multipliers: MultipliersFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PricesFile {
    from: Option<String>,
    input: String,
    output: String,
    cache_write_5m: String,
    cache_write_1h: String,
    cache_read: String,
    long_prompt: Option<LongPromptFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPromptFile {
    above_tokens: u64,
    input: String,
    output: String,
    cache_write_5m: String,
    cache_write_1h: String,
    cache_read: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MultipliersFile {
    service_tier: BTreeMap<String, String>,
    inference_geo: BTreeMap<String, String>,
    speed: BTreeMap<String, String>,
}

const UNIT: &str = "USD per 1,000,000 tokens";
/// Digits behind the point of a price per million tokens: one token's is then whole in picodollars.
const PRICE_PLACES: usize = 6;
/// Of a multiplier, in ten-thousandths.
const MULTIPLIER_PLACES: usize = 4;
/// The largest multiplier. What is more is a slip of the pen.
const MOST: u32 = 100 * ONE;
/// The highest price of a million tokens, in dollars.
const HIGHEST: u64 = 1_000_000;
/// A price of six places, in picodollars and in units of its last place.
const MICRO: u64 = 1_000_000;
const MAX_VERSION_LENGTH: usize = 64;

impl PriceBook {
    /// Reads and checks a book.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(json: &str) -> Result<Self, PriceBookError> {
        let file: BookFile =
            serde_json::from_str(json).map_err(|e| PriceBookError(e.to_string()))?;
        let length = file.version.chars().count();
        let printable = file.version.chars().all(|c| !c.is_control());
        if length == 0 || length > MAX_VERSION_LENGTH || !printable {
            return wrong("version", "is not a text of 1 to 64 characters");
        }
        if file.currency != "USD" {
            return wrong("currency", "is not \"USD\"");
        }
        if file.unit != UNIT {
            return wrong("unit", &format!("is not \"{UNIT}\""));
        }
        // Ten dollars for a thousand are a cent for one.
        let thousand = decimal::parse(&file.web_search_per_1000, 9);
        let Some(web_search) = thousand.filter(|price| *price <= HIGHEST * 1_000_000_000) else {
            return wrong("web_search_per_1000", NO_PRICE);
        };
        let session_unit = match &file.session_per_hour {
            None => None,
            Some(hour) => match decimal::parse(hour, PRICE_PLACES) {
                Some(price) if price <= HIGHEST * MICRO => {
                    Some(Picodollars(price * (MICRO / SESSION_UNITS_PER_HOUR)))
                }
                _ => return wrong("session_per_hour", NO_PRICE),
            },
        };
        let mut by_name = FxHashMap::default();
        let mut models = Vec::with_capacity(file.models.len());
        for (index, model) in file.models.into_iter().enumerate() {
            let place = format!("models[{index}]");
            claim_names(&mut by_name, &model, index, &place)?;
            models.push(check_model(model, &place)?);
        }
        // A dated id stands for the name without its date, unless that is somebody's own.
        let dated: Vec<_> = by_name
            .iter()
            .map(|(name, index)| (undated(name).to_owned(), *index))
            .collect();
        for (name, index) in dated {
            by_name.entry(name).or_insert(index);
        }
        Ok(Self {
            version: file.version.into(),
            web_search: Picodollars(web_search),
            session_unit,
            models,
            by_name,
        })
    }
}

const NO_PRICE: &str = "is no price: a decimal number in quotes, up to 1000000, with at most 6 digits behind the point";
const NO_MULTIPLIER: &str = "is no multiplier: a decimal number in quotes, up to 100, with at most 4 digits behind the point";

fn wrong<T>(place: &str, what: &str) -> Checked<T> {
    Err(PriceBookError(format!("{place} {what}")))
}

fn claim_names(
    by_name: &mut FxHashMap<String, usize>,
    model: &ModelFile,
    index: usize,
    place: &str,
) -> Checked<()> {
    for name in [&model.id].into_iter().chain(&model.aliases) {
        if name.is_empty() {
            return wrong(place, "has an empty id or alias");
        }
        if by_name.insert(name.clone(), index).is_some() {
            return wrong(
                place,
                &format!("has the name \"{name}\", which is taken already"),
            );
        }
    }
    Ok(())
}

fn check_model(file: ModelFile, place: &str) -> Checked<Model> {
    let multipliers = Multipliers {
        service_tier: check_multipliers(&file.multipliers.service_tier, place, "service_tier")?,
        inference_geo: check_multipliers(&file.multipliers.inference_geo, place, "inference_geo")?,
        speed: check_multipliers(&file.multipliers.speed, place, "speed")?,
    };
    if file.prices.is_empty() {
        return wrong(place, "has no prices");
    }
    let mut prices: Vec<Prices> = Vec::with_capacity(file.prices.len());
    for (index, row) in file.prices.into_iter().enumerate() {
        let place = format!("{place}.prices[{index}]");
        let row = check_prices(row, &place)?;
        let begins = |prices: &Prices| prices.from.as_ref().map(|(_, from)| *from);
        if prices
            .last()
            .is_some_and(|before| begins(before) >= begins(&row))
        {
            return wrong(
                &place,
                "doesn't begin later than the prices before it: set \"from\"",
            );
        }
        for rates in [Some(row.rates), row.long_prompt.map(|(_, rates)| rates)]
            .into_iter()
            .flatten()
        {
            check_exact(&rates, &multipliers, &place)?;
        }
        prices.push(row);
    }
    Ok(Model {
        id: file.id,
        prices,
        multipliers,
    })
}

fn check_multipliers(
    table: &BTreeMap<String, String>,
    place: &str,
    name: &str,
) -> Checked<BTreeMap<String, u32>> {
    let mut multipliers = BTreeMap::new();
    for (word, text) in table {
        let multiplier = decimal::parse(text, MULTIPLIER_PLACES)
            .and_then(|multiplier| u32::try_from(multiplier).ok())
            .filter(|multiplier| *multiplier <= MOST);
        let Some(multiplier) = multiplier else {
            return wrong(&format!("{place}.multipliers.{name}.{word}"), NO_MULTIPLIER);
        };
        multipliers.insert(word.clone(), multiplier);
    }
    Ok(multipliers)
}

fn check_prices(row: PricesFile, place: &str) -> Checked<Prices> {
    let from = match row.from {
        None => None,
        Some(day) => {
            let Some(midnight) = NaiveDate::parse_from_str(&day, "%Y-%m-%d")
                .ok()
                .and_then(|date| date.and_hms_opt(0, 0, 0))
            else {
                return wrong(
                    &format!("{place}.from"),
                    "is no day: YYYY-MM-DD, from midnight in UTC",
                );
            };
            let unix_micros = midnight.and_utc().timestamp_micros();
            Some((day, Timestamp { unix_micros }))
        }
    };
    let rates = check_rates(
        [
            &row.input,
            &row.output,
            &row.cache_read,
            &row.cache_write_5m,
            &row.cache_write_1h,
        ],
        place,
    )?;
    let long_prompt = match row.long_prompt {
        None => None,
        Some(long) => {
            let place = format!("{place}.long_prompt");
            let texts = [
                &long.input,
                &long.output,
                &long.cache_read,
                &long.cache_write_5m,
                &long.cache_write_1h,
            ];
            Some((long.above_tokens, check_rates(texts, &place)?))
        }
    };
    Ok(Prices {
        from,
        rates,
        long_prompt,
    })
}

fn check_rates(texts: [&String; 5], place: &str) -> Checked<Rates> {
    let names = [
        "input",
        "output",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
    ];
    let mut parsed = [Picodollars::ZERO; 5];
    for ((text, name), rate) in texts.into_iter().zip(names).zip(&mut parsed) {
        let price =
            decimal::parse(text, PRICE_PLACES).filter(|price| *price <= HIGHEST * 1_000_000);
        let Some(price) = price else {
            return wrong(&format!("{place}.{name}"), NO_PRICE);
        };
        *rate = Picodollars(price);
    }
    let [input, output, cache_read, cache_write_5m, cache_write_1h] = parsed;
    Ok(Rates {
        input,
        output,
        cache_read,
        cache_write_5m,
        cache_write_1h,
    })
}

/// Whatever multipliers meet, a token's price is a whole number of picodollars.
fn check_exact(rates: &Rates, multipliers: &Multipliers, place: &str) -> Checked<()> {
    let whole = u128::from(ONE).pow(3);
    let with_one = |table: &BTreeMap<String, u32>| {
        let mut all: Vec<u32> = table.values().copied().collect();
        all.push(ONE);
        all
    };
    let tiers = with_one(&multipliers.service_tier);
    let places = with_one(&multipliers.inference_geo);
    let speeds = with_one(&multipliers.speed);
    for price in [
        rates.input,
        rates.output,
        rates.cache_read,
        rates.cache_write_5m,
        rates.cache_write_1h,
    ] {
        for tier in &tiers {
            for geo in &places {
                for speed in &speeds {
                    let all = [*tier, *geo, *speed];
                    let exact = all
                        .iter()
                        .fold(u128::from(price.0), |product, m| product * u128::from(*m));
                    if exact != multiplied(price, all) * whole {
                        return wrong(
                            place,
                            "has a price that, with its multipliers, isn't a whole number of picodollars a token",
                        );
                    }
                }
            }
        }
    }
    Ok(())
}
