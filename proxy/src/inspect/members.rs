//! The members of a JSON object as places in its text.
//!
//! Guarantees: the text is read once and checked for syntax, to any depth; nothing is kept but two ranges a member, of
//! a bounded number of members.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use policy_engine::Field;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{InspectError, compact};
use crate::text::Checked;

/// More than any object of the API has: it refuses members that it doesn't know.
pub(crate) const MOST_MEMBERS: usize = 256;

/// Where the members of one object are in the text it was read from, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(Vec<Member>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// With its quotes.
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Members {
    /// Reads a text that is one JSON object.
    ///
    /// # Errors
    /// If it isn't, or has too many members.
    pub(crate) fn of(checked: Checked<'_>) -> Result<Self, InspectError> {
        if let Some(members) = compact::members(checked) {
            return Ok(Self(members));
        }
        let text = checked.text;
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader
            .deserialize_map(Reader { text })
            .and_then(|members| reader.end().map(|()| members))
            .map_err(|_| InspectError::NotAnObject)?;
        if members.len() > MOST_MEMBERS {
            return Err(InspectError::TooManyMembers);
        }
        Ok(Self(members))
    }

    /// The members with their names and values, given the same text again.
    pub(crate) fn fields<'a>(&self, text: &'a str) -> impl Iterator<Item = Field<'a>> {
        self.0.iter().filter_map(move |member| {
            Some(Field {
                name: unquoted(text.get(member.name.clone())?)?,
                json: text.get(member.value.clone())?,
            })
        })
    }
}

/// Reads the members of an object, of too many one more than there may be.
struct Reader<'a> {
    text: &'a str,
}

impl<'de> Visitor<'de> for Reader<'de> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() <= MOST_MEMBERS
            && let Some((name, value)) = fields.next_entry::<&RawValue, &RawValue>()?
        {
            if unquoted(name.get()).is_none() {
                return Err(A::Error::custom("half a character"));
            }
            members.push(Member {
                name: place(name.get(), self.text),
                value: place(value.get(), self.text),
            });
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(members)
    }
}

/// Where a part of `text` is in it.
fn place(part: &str, text: &str) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    start..start.wrapping_add(part.len())
}

/// The text of a JSON string, borrowed unless it has escapes. Half of a pair of surrogates is no text.
pub(crate) fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    if !plain.contains('\\') {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}
