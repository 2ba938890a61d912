//! Amounts in picodollars, beyond what [`domain::Picodollars`] reaches to: sums of many.

use crate::error::{ApiError, Result};

const CENT: u128 = 10_000_000_000;

/// A whole number of them, as the database writes it.
pub(super) fn read(text: &str) -> Result<u128> {
    let amount = text.parse();
    amount.map_err(|_| ApiError::broken("reading an amount"))
}

/// In cents, without zeros at the end.
pub(super) fn cents(amount: u128) -> String {
    let (whole, part) = (amount / CENT, amount % CENT);
    if part == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{part:010}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_cents_with_the_digits_they_have() {
        for (amount, expected) in [
            ("0", "0"),
            ("1", "0.0000000001"),
            ("1237891200000", "123.78912"),
            ("100000000000000000000000000", "10000000000000000"),
        ] {
            assert_eq!(cents(read(amount).unwrap()), expected);
        }
        assert!(read("-1").is_err());
    }
}
