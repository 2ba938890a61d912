//! Dollars as people write them, exact.

use domain::Picodollars;
use serde_json::Value;

/// A number or a text of 0 or more, with up to 12 digits behind the point.
pub(crate) fn dollars(value: &Value) -> Result<Picodollars, String> {
    const WRONG: &str = "must be dollars: a number of 0 or more, or such a text, with up to 12 digits behind the point";
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(WRONG.to_owned());
        }
    };
    parse(&text).ok_or_else(|| WRONG.to_owned())
}

/// `12.5`, `1e-3`: numbers in JSON may have an exponent.
fn parse(text: &str) -> Option<Picodollars> {
    const PLACES: i32 = 12;
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = [whole, part].concat();
    if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_end_matches('0');
    let dropped = i32::try_from(all.len() - significant.len()).ok()?;
    let behind = i32::try_from(part.len()).ok()? - dropped;
    // How many zeros are missing to picodollars.
    let zeros = PLACES.checked_sub(behind)?.checked_add(exponent)?;
    if significant.trim_start_matches('0').is_empty() {
        return Some(Picodollars::ZERO);
    }
    let factor = 10_u64.checked_pow(u32::try_from(zeros).ok()?)?;
    let amount: u64 = significant.parse().ok()?;
    amount.checked_mul(factor).map(Picodollars)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_digit_counts() {
        for (value, expected) in [
            (json!(25), Some(25_000_000_000_000)),
            (json!(0.1), Some(100_000_000_000)),
            (json!("25.00"), Some(25_000_000_000_000)),
            (json!("0.000000000001"), Some(1)),
            (json!(1e-3), Some(1_000_000_000)),
            (json!(0), Some(0)),
            (json!("0.0"), Some(0)),
            (json!(2e3), Some(2_000_000_000_000_000)),
            (json!("0.0000000000001"), None),
            (json!(-1), None),
            (json!("-1"), None),
            (json!("1,5"), None),
            (json!(""), None),
            (json!("."), None),
            (json!(1e300), None),
            (json!("1e99999999999"), None),
            (json!("99999999999"), None),
            (json!(true), None),
            (json!([1]), None),
        ] {
            let found = dollars(&value).ok().map(|amount| amount.0);
            assert_eq!(found, expected, "{value}");
        }
    }
}
