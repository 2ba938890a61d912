//! Dollars as policies write them: exact, from the digits of a number or a string.

use domain::Picodollars;
use serde_json::Value;

use super::Faults;
use super::reader::Item;

/// Digits behind the point that an amount can have.
const PLACES: i32 = 12;

/// An amount of dollars; as a fault says, up to the largest that can be counted.
pub(crate) fn read_dollars(item: &Item<'_>, faults: &mut Faults) -> Option<u64> {
    let amount = match item.value {
        Value::Number(number) => picodollars(&number.to_string()),
        Value::String(text) => picodollars(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if amount.is_none() {
        let most = Picodollars(u64::MAX);
        let message = format!(
            "must be dollars, a number or a string from 0 to {most} with at most {PLACES} digits behind the point"
        );
        return item.fault(faults, message);
    }
    amount
}

/// From `25`, `25.00`, `.5` or `2.5e-3`; none of what isn't exact in picodollars.
fn picodollars(text: &str) -> Option<u64> {
    let (decimal, exponent) = match text.split_once(['e', 'E']) {
        Some((decimal, exponent)) => (decimal, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let places = i32::try_from(part.len()).ok()?;
    let zeros = i32::try_from(zeros).ok()?;
    let shift = PLACES
        .checked_sub(places)?
        .checked_add(zeros)?
        .checked_add(exponent)?;
    let unit = 10_u64.checked_pow(u32::try_from(shift).ok()?)?;
    significant.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (value, expected) in [
            (json!(25), Some(25_000_000_000_000)),
            (json!("25.00"), Some(25_000_000_000_000)),
            (json!(0.1), Some(100_000_000_000)),
            (json!(1e-3), Some(1_000_000_000)),
            (json!(1e-12), Some(1)),
            (json!("1e-3"), Some(1_000_000_000)),
            (json!("2.5E+1"), Some(25_000_000_000_000)),
            (json!(1e3), Some(1_000_000_000_000_000)),
            (json!("0.000000000001"), Some(1)),
            (json!("0.0000000000010"), Some(1)),
            (json!("0.0000000000001"), None),
            (json!("00.5"), Some(500_000_000_000)),
            (json!(".5"), Some(500_000_000_000)),
            (json!("5."), Some(5_000_000_000_000)),
            (json!(0), Some(0)),
            (json!("0e99"), Some(0)),
            (json!("18446744.073709551615"), Some(u64::MAX)),
            (json!("18446744.073709551616"), None),
            (json!(18_446_745), None),
            (json!(1e300), None),
            (json!("1e2147483648"), None),
            (json!("1e-2147483648"), None),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("+1"), None),
            (json!("1 "), None),
            (json!("1,5"), None),
            (json!("1.2.3"), None),
            (json!("$5"), None),
            (json!("NaN"), None),
            (json!("e5"), None),
            (json!("."), None),
            (json!(""), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            let mut faults = Faults::new();
            let amount = read_dollars(&Item::new("$", &value), &mut faults);
            assert_eq!(amount, expected, "{value}");
            assert_eq!(faults.is_empty(), expected.is_some(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_is_what_it_is_shown_as(amount: u64) {
            prop_assert_eq!(picodollars(&Picodollars(amount).to_string()), Some(amount));
        }

        #[test]
        fn no_text_is_too_strange(text: String) {
            picodollars(&text);
        }
    }
}
