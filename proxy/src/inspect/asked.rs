//! The few things that every request says of itself, taken from the members of its object.

use std::borrow::Cow;

use policy_engine::Field;
use serde::Deserialize;

use super::members::unquoted;

/// What the last member of each name says.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    /// `model`, if it is a string.
    pub(crate) model: Option<Cow<'a, str>>,
    /// `model.id`, of a `model` that is an object; empty if it is none.
    pub(crate) model_id: Cow<'a, str>,
    /// `max_tokens`, or `max_tokens_to_sample` of completions; 0 if there is none, or one that is no whole number.
    pub(crate) max_tokens: u64,
    /// Whether `stream` is true.
    pub(crate) stream: bool,
    /// Whether `billing_policy` names a user profile.
    pub(crate) bills_user_profile: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(fields: impl Iterator<Item = Field<'a>>) -> Self {
        let (mut model, mut stream, mut billing_policy) = ("", "", "");
        let (mut max_tokens, mut to_sample) = ("", "");
        for Field { name, json } in fields {
            match name.as_ref() {
                "model" => model = json,
                "max_tokens" => max_tokens = json,
                "max_tokens_to_sample" => to_sample = json,
                "stream" => stream = json,
                "billing_policy" => billing_policy = json,
                _ => {}
            }
        }
        Self {
            model: unquoted(model),
            model_id: id_of(model),
            max_tokens: whole_number(max_tokens).max(whole_number(to_sample)),
            stream: stream == "true",
            bills_user_profile: bills_user_profile(billing_policy),
        }
    }
}

/// An object of a few short strings, as a billing policy is.
fn id_of(json: &str) -> Cow<'_, str> {
    #[derive(Default, Deserialize)]
    struct Model<'a> {
        #[serde(borrow, default)]
        id: Cow<'a, str>,
    }
    if !json.starts_with('{') {
        return Cow::Borrowed("");
    }
    let model: Model<'_> = serde_json::from_str(json).unwrap_or_default();
    model.id
}

/// A whole number in any spelling: `1e3` is one, and `5.0`. One that is too large is as large as can be, one below 0 is 0.
fn whole_number(json: &str) -> u64 {
    json.parse().unwrap_or_else(|_| {
        let number: f64 = json.parse().unwrap_or_default();
        let is_whole = number.fract() == 0.0 || number.is_infinite();
        if is_whole { saturated(number) } else { 0 }
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn saturated(number: f64) -> u64 {
    number as u64
}

/// An object of three short strings; what is longer is something else.
const MAX_BILLING_POLICY_BYTES: usize = 1_024;

fn bills_user_profile(json: &str) -> bool {
    #[derive(Deserialize)]
    struct BillingPolicy<'a> {
        #[serde(borrow)]
        bill_to: Cow<'a, str>,
    }
    // An array would be read as the values of the object's members.
    json.starts_with('{')
        && json.len() <= MAX_BILLING_POLICY_BYTES
        && serde_json::from_str(json)
            .is_ok_and(|policy: BillingPolicy<'_>| policy.bill_to == "user_profile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_in_any_spelling() {
        for (json, expected) in [
            ("1024", 1_024),
            ("0", 0),
            ("1e3", 1_000),
            ("5.0", 5),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("1e999", u64::MAX),
            ("-1", 0),
            ("-0.0", 0),
            ("1.5", 0),
            ("\"5\"", 0),
            ("null", 0),
            ("[5]", 0),
            ("", 0),
        ] {
            assert_eq!(whole_number(json), expected, "{json}");
        }
    }
}
