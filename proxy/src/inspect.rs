//! What the gateway needs to know of a request's body, found at its top level.
//!
//! The body is read once and no tree is built of it: `messages` may hold megabytes. Unknown fields pass
//! unseen; of a repeated one the last counts, as it does for the API.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The top level of a body of `messages` or `count_tokens`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// `model`, as the caller wrote it.
    pub model: String,
    /// Whether `stream` is true.
    pub stream: bool,
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
    let (model, stream) = found.map_err(|_| InspectError::NotAnObject)?;
    let model = model.ok_or(InspectError::ModelMissing)?;
    Ok(Inspected {
        model: model.into_owned(),
        stream,
    })
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = (Option<Cow<'de, str>>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut model, mut stream) = (None, false);
        while let Some(Text(name)) = fields.next_key()? {
            match name.as_ref() {
                "model" => model = fields.next_value::<Scalar<'_>>()?.text(),
                "stream" => stream = matches!(fields.next_value()?, Scalar::Bool(true)),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((model, stream))
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
