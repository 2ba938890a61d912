//! What the gateway needs to know of a request's body, found at its top level.
//!
//! The body is read once and no tree is built of it: `messages` may hold megabytes. Unknown fields pass
//! unseen; of a repeated one the last counts, as it does for the API.

#[cfg(any(test, fuzzing))]
pub(crate) mod laws;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The top level of a body of `messages` or `count_tokens`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// `model`, as the caller wrote it.
    pub model: String,
    /// Whether `stream` is true.
    pub stream: bool,
    /// Whether `billing_policy` has somebody else billed than the owner of the upstream key.
    pub bills_user_profile: bool,
}

/// Why a body can't be what the endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Not JSON, or not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// No `model`, or one that is no string.
    #[error("the body has no model")]
    ModelMissing,
}

/// Reads a JSON body, already decoded.
///
/// # Errors
/// If it isn't a JSON object, or has no `model`.
pub fn inspect(body: &[u8]) -> Result<Inspected, InspectError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = reader
        .deserialize_map(TopLevel)
        .and_then(|found| reader.end().map(|()| found));
    let found = found.map_err(|_| InspectError::NotAnObject)?;
    let model = found.model.ok_or(InspectError::ModelMissing)?;
    Ok(Inspected {
        model: model.into_owned(),
        stream: found.stream,
        bills_user_profile: found.billing_policy.is_some_and(bills_user_profile),
    })
}

/// An object of three short strings; what is longer is something else.
const MAX_BILLING_POLICY_BYTES: usize = 1_024;

fn bills_user_profile(policy: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct BillingPolicy<'a> {
        #[serde(borrow)]
        bill_to: Cow<'a, str>,
    }
    // An array would be read as the values of the object's members.
    policy.get().starts_with('{')
        && policy.get().len() <= MAX_BILLING_POLICY_BYTES
        && serde_json::from_str(policy.get())
            .is_ok_and(|policy: BillingPolicy<'_>| policy.bill_to == "user_profile")
}

struct TopLevel;

#[derive(Default)]
struct Found<'a> {
    model: Option<Cow<'a, str>>,
    stream: bool,
    billing_policy: Option<&'a RawValue>,
}

impl<'de> Visitor<'de> for TopLevel {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = Found::default();
        while let Some(Text(name)) = fields.next_key()? {
            match name.as_ref() {
                "model" => found.model = fields.next_value::<Scalar<'_>>()?.text(),
                "stream" => found.stream = matches!(fields.next_value()?, Scalar::Bool(true)),
                "billing_policy" => found.billing_policy = Some(fields.next_value()?),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value of any type, of which only strings and booleans are kept: it is for the upstream to say what is
/// wrong with a model that is a list, and however long the list, nothing of it is held here.
enum Scalar<'a> {
    Bool(bool),
    Text(Cow<'a, str>),
    Else,
}

impl<'a> Scalar<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Else => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Else)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Else)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Else)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Else)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Else)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Else)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(&str, bool), InspectError>) {
        let found = inspect(body.as_bytes());
        let expected = expected.map(|(model, stream)| Inspected {
            model: model.to_owned(),
            stream,
            bills_user_profile: false,
        });
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn the_top_level_counts_wherever_it_stands() {
        check(r#"{"model":"a","stream":true}"#, Ok(("a", true)));
        check(
            r#"{"messages":[{"model":"no","stream":true}],"model":"a"}"#,
            Ok(("a", false)),
        );
        check(r#"{"mod\u0065l":"\u0061","stream":null}"#, Ok(("a", false)));
        check(
            r#" {"model":"a","model":"b","stream":false,"stream":true} "#,
            Ok(("b", true)),
        );
        check(
            r#"{"model":"a","stream":"true","temperature":1e400}"#,
            Ok(("a", false)),
        );
    }

    #[test]
    fn the_bill_of_a_user_profile_is_somebody_elses() {
        for (policy, expected) in [
            (
                r#"{"type":"billing_policy","bill_to":"user_profile"}"#,
                true,
            ),
            (r#"{"bill_to":"user\u005fprofile"}"#, true),
            (
                r#"{"type":"billing_policy","bill_to":"organization"}"#,
                false,
            ),
            (r#"{"type":"billing_policy"}"#, false),
            (r#"{"bill_to":["user_profile"]}"#, false),
            (r#"["user_profile"]"#, false),
            ("\"user_profile\"", false),
            ("null", false),
        ] {
            let body = format!(r#"{{"billing_policy": {policy}, "model": "a"}}"#);
            let found = inspect(body.as_bytes()).unwrap();
            assert_eq!(found.bills_user_profile, expected, "{policy}");
        }
    }

    #[test]
    fn a_body_without_a_model_is_refused() {
        for body in [
            "{}",
            r#"{"model":null}"#,
            r#"{"model":-1.5}"#,
            r#"{"model":[0,[]]}"#,
            r#"{"model":5}"#,
            r#"{"model":{"a":[1]}}"#,
        ] {
            check(body, Err(InspectError::ModelMissing));
        }
    }

    #[test]
    fn what_is_not_a_json_object_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "\"model\"",
            "{",
            r#"{"model":"a"}x"#,
            r#"{"model":"a",}"#,
            "model=a",
        ] {
            check(body, Err(InspectError::NotAnObject));
        }
    }

    #[test]
    fn depth_is_no_obstacle() {
        let deep = format!(
            r#"{{"model":"a","tools":{}{}}}"#,
            "[".repeat(5_000),
            "]".repeat(5_000)
        );
        check(&deep, Ok(("a", false)));
    }
}
