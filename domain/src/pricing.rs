//! What usage costs: a book of prices, and the arithmetic from counters to an amount.
//!
//! Guarantees: integers all the way, so that an amount is exact to the picodollar and the same wherever it is computed
//! again; what has no price says so ([`Basis::Unpriced`]) and is never mistaken for what costs nothing.

mod book;
mod decimal;
mod file;
mod leg;

use std::sync::Arc;

pub use book::{Model, PriceBook, Rates};
pub use file::PriceBookError;
pub use leg::{Leg, LegKind};

use crate::{Picodollars, Timestamp, Usage};

/// What a request cost, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of an unpriced request, what is known of it.
    pub amount: Picodollars,
    /// What it rests on.
    pub basis: Basis,
}

/// What an amount rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Basis {
    /// Nothing was consumed.
    #[default]
    NoUsage,
    /// All of it on the prices of this version of the book.
    Priced(Arc<str>),
    /// Something was consumed that isn't billed.
    Free(Free),
    /// Something has no price: the amount lacks it.
    Unpriced(Unpriced),
}

/// Why usage isn't billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unpriced {
    /// The book doesn't know the model, or not yet at that time.
    UnknownModel,
    /// The book doesn't know what this service tier, speed or place does to the model's price. At plain prices.
    UnknownMultiplier,
    /// No amount is that large.
    Overflow,
}

impl Unpriced {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::UnknownModel, Self::UnknownMultiplier, Self::Overflow];

    /// The stored word, and the label in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownModel => "unknown_model",
            Self::UnknownMultiplier => "unknown_multiplier",
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
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        }
    }
}

#[cfg(test)]
mod tests;
