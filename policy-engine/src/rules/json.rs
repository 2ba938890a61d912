//! Looks into JSON without building a tree of it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string, borrowed unless it has escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The members of an object, in order; none of what is no object.
pub(crate) fn members(json: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let members: Members<'_> = serde_json::from_str(json).ok()?;
    Some(members.0)
}

/// A member of an object, of a repeated one the last; none if it is `null`, or where there is no object.
pub(crate) fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let members = members(json)?;
    let (_, value) = members.into_iter().rev().find(|(key, _)| key == name)?;
    (value != "null").then_some(value)
}

/// A string; none of anything else.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    let text: Text<'_> = serde_json::from_str(json).ok()?;
    Some(text.0)
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// The first entries of a list; the rest is only counted.
#[derive(Debug)]
pub(crate) struct Bounded<T, const MOST: usize> {
    pub(crate) entries: Vec<T>,
    /// Whether there are more.
    pub(crate) more: bool,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Collect<T, MOST> {
            type Value = Bounded<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while entries.len() < MOST {
                    let Some(entry) = seq.next_element()? else {
                        let more = false;
                        return Ok(Bounded { entries, more });
                    };
                    entries.push(entry);
                }
                let more = seq.next_element::<IgnoredAny>()?.is_some();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Bounded { entries, more })
            }
        }

        deserializer.deserialize_seq(Collect(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_repeated_member_the_last_counts() {
        for (json, expected) in [
            (r#"{"a":1,"a":2}"#, Some("2")),
            (r#"{"\u0061":[1, 2]}"#, Some("[1, 2]")),
            (r#"{"a":1,"a":null}"#, None),
            (r#"{"b":{"a":1}}"#, None),
            ("[]", None),
            ("\"a\"", None),
            ("{\"a\"", None),
        ] {
            assert_eq!(member(json, "a"), expected, "{json}");
        }
    }

    #[test]
    fn a_list_is_read_up_to_its_bound() {
        for (json, entries, more) in [
            ("[]", vec![], false),
            ("[1,2]", vec![1, 2], false),
            ("[1,2,\"x\"]", vec![1, 2], true),
            ("[1,2,3,4]", vec![1, 2], true),
        ] {
            let list: Bounded<u8, 2> = serde_json::from_str(json).unwrap();
            assert_eq!((list.entries, list.more), (entries, more), "{json}");
        }
        assert!(serde_json::from_str::<Bounded<u8, 2>>("{}").is_err());
    }
}
