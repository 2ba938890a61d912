//! Money, exact.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// US dollars in units of 10^-12, in which every list price of a token is a whole number, its multipliers included.
/// Reaches to 18 million dollars.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Picodollars(pub u64);

impl Picodollars {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One cent.
    pub const CENT: Self = Self(10_000_000_000);
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000_000);

    /// For display and metrics, where the last digits don't matter.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "asked for")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / Self::DOLLAR.0 as f64
    }

    /// Cents, with all ten digits that follow the point.
    #[must_use]
    pub fn cents(self) -> Cents {
        Cents(self)
    }
}

/// Sums stop at the largest amount rather than beginning anew.
impl Add for Picodollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Picodollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Picodollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Dollars, without zeros at the end: `0.0000045`.
impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0, Self::DOLLAR.0, 12)
    }
}

/// An amount that is shown in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cents(Picodollars);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0.0, Picodollars::CENT.0, 10)
    }
}

fn decimal(f: &mut fmt::Formatter<'_>, amount: u64, unit: u64, places: usize) -> fmt::Result {
    let (whole, part) = (amount / unit, amount % unit);
    if part == 0 {
        return f.pad(&whole.to_string());
    }
    let text = format!("{whole}.{part:0places$}");
    f.pad(text.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_with_the_digits_they_have() {
        for (amount, dollars, cents) in [
            (0, "0", "0"),
            (1, "0.000000000001", "0.0000000001"),
            (4_500_000, "0.0000045", "0.00045"),
            (25_680_000_000, "0.02568", "2.568"),
            (3_000_000_000_000, "3", "300"),
        ] {
            assert_eq!(Picodollars(amount).to_string(), dollars);
            assert_eq!(Picodollars(amount).cents().to_string(), cents);
        }
        assert_eq!(format!("{:>6}", Picodollars::DOLLAR), "     1");
    }

    #[test]
    fn a_sum_never_begins_anew() {
        let most = Picodollars(u64::MAX);
        assert_eq!(
            [most, Picodollars(1)].into_iter().sum::<Picodollars>(),
            most
        );
    }
}
