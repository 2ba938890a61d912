//! What usage costs: a book of prices, and the arithmetic from counters to an amount.
//!
//! Guarantees: integers all the way, so that an amount is exact to the picodollar and the same wherever it is computed
//! again; what has no price says so ([`Basis::Unpriced`]) and is never mistaken for what costs nothing.

mod book;
mod decimal;
mod file;
mod leg;
mod parts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use book::{Model, PriceBook, Rates};
pub use file::PriceBookError;
pub use leg::{Leg, LegKind};
pub use parts::{Many, split};

use crate::{Picodollars, Timestamp, Usage};

/// The prices in force, which may be replaced while requests run.
pub type Prices = arc_swap::ArcSwap<PriceBook>;

/// What a request cost, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Of an unpriced request, what is known of it.
    pub amount: Picodollars,
    /// What it rests on.
    pub basis: Basis,
}

/// What an amount rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Nothing was consumed.
    #[default]
    NoUsage,
    /// All of it on the prices of this version of the book.
    Priced(Arc<str>),
    /// The book can't tell: it is the API's own figure, at list prices and to the cent.
    Listed,
    /// Something was consumed that isn't billed.
    Free(Free),
    /// Something has no price: the amount lacks it.
    Unpriced(Unpriced),
}

/// Why usage isn't billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Free {
    /// The simulator answered a test key.
    Test,
    /// The model refused before it put anything out.
    Refusal,
    /// The customer's own organization is billed, by the request's `billing_policy`.
    UserProfile,
}

impl Free {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Test, Self::Refusal, Self::UserProfile];

    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Refusal => "refusal",
            Self::UserProfile => "user_profile",
        }
    }
}

/// Why usage has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unpriced {
    /// The book doesn't know the model, or not yet at that time.
    UnknownModel,
    /// The book doesn't know what this service tier, speed or place does to the model's price. At plain prices.
    UnknownMultiplier,
    /// Several models worked, and only the sum of what they consumed is known.
    MixedModels,
    /// The price depends on how long each prompt was, and only the sum of them is known.
    PromptLengths,
    /// The book has no price for the time that agents run.
    SessionTime,
    /// No amount is that large.
    Overflow,
}

impl Unpriced {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::UnknownModel,
        Self::UnknownMultiplier,
        Self::MixedModels,
        Self::PromptLengths,
        Self::SessionTime,
        Self::Overflow,
    ];

    /// The stored word, and the label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownModel => "unknown_model",
            Self::UnknownMultiplier => "unknown_multiplier",
            Self::MixedModels => "mixed_models",
            Self::PromptLengths => "prompt_lengths",
            Self::SessionTime => "session_time",
            Self::Overflow => "overflow",
        }
    }
}

/// What is to be priced.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// The model that answered, for what names no other.
    pub model: &'a str,
    /// What was consumed.
    pub usage: &'a Usage,
    /// When: prices change.
    pub time: Timestamp,
    /// Set where nothing of it is billed.
    pub free: Option<Free>,
    /// Of what it is the usage.
    pub span: Span,
}

/// What usage is the usage of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Span {
    /// One request.
    #[default]
    Request,
    /// Many requests of an agent, and the time it ran: `active_seconds` of the usage object.
    Session {
        /// More models than the one that is named may have made them.
        mixed_models: bool,
    },
}

/// The time that agents run is counted in 36 ms: 1/100,000 of an hour, so that any price of an hour has a whole share.
pub const SESSION_UNIT_MS: u64 = 36;
/// Those units in an hour.
pub(crate) const SESSION_UNITS_PER_HOUR: u64 = 100_000;

/// One multiplication of a bill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// The part of the request, from 0; none for what belongs to all of it.
    pub leg: Option<(usize, Leg<'a>)>,
    /// What is counted, by its name in `usage`.
    pub item: Item,
    /// How many.
    pub count: u64,
    /// What the book says of one.
    pub price: Picodollars,
    /// Where in the book: model, since when, above how long a prompt.
    pub row: Option<Row<'a>>,
    /// What the price was multiplied with, in ten-thousandths: tier, place, speed.
    pub multipliers: [u32; 3],
    /// The product; not billed where the leg is declined or the charge free.
    pub amount: Picodollars,
}

/// A row of the book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// The id the book has it under.
    pub model: &'a str,
    /// Since when this price holds; none: always.
    pub from: Option<&'a str>,
    /// The prices are those of prompts above so many tokens.
    pub above_tokens: Option<u64>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Uncached input tokens.
    Input,
    /// Output tokens.
    Output,
    /// Input tokens read from the cache.
    CacheRead,
    /// Input tokens written to the cache for five minutes.
    CacheWrite5m,
    /// Input tokens written to the cache for an hour.
    CacheWrite1h,
    /// Web searches.
    WebSearch,
    /// Time that agents ran, in units of 36 ms.
    SessionTime,
}

impl Item {
    /// Its name, as the book and reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::WebSearch => "web_search",
            Self::SessionTime => "session_time",
        }
    }
}

#[cfg(test)]
mod tests;
