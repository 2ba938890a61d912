//! What must hold of every body that is inspected: it says what `serde_json` says of the same bytes.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use policy_engine::Field;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::members::MOST_MEMBERS;
use super::{InspectError, Inspected, inspect};
use crate::text::{Pieces, Text};

pub(crate) fn check(body: &[u8]) {
    let found = inspect(Bytes::copy_from_slice(body));
    assert_eq!(inspect(in_pieces(body)), found);
    let Ok(members) = serde_json::from_slice::<Members<'_>>(body) else {
        assert_eq!(found, Err(InspectError::NotAnObject));
        return;
    };
    if members.0.len() > MOST_MEMBERS {
        assert_eq!(found, Err(InspectError::TooManyMembers));
        return;
    }
    let Some(Value::String(model)) = members.last("model") else {
        assert_eq!(found, Err(InspectError::ModelMissing));
        return;
    };
    assert!(found.is_ok(), "{found:?}");
    let Ok(found) = found else { return };
    assert_eq!(found.model, model);
    check_what_is_asked(&found, &members);
    check_fields(found.fields(), &members);
    check_values(found.fields(), body);
    check_remainder(found);
}

/// The same body as it is when it has come in two pieces.
fn in_pieces(body: &[u8]) -> Text {
    let (first, second) = body.split_at(body.len() / 2);
    let mut pieces = Pieces::default();
    pieces.push(first);
    pieces.push(second);
    pieces.into_text()
}

fn check_what_is_asked(found: &Inspected, members: &Members<'_>) {
    assert_eq!(found.stream, members.last("stream") == Some(true.into()));
    let max_tokens = members.last("max_tokens").unwrap_or_default();
    if let Some(max_tokens) = max_tokens.as_u64() {
        assert_eq!(found.max_tokens, max_tokens);
    } else if !max_tokens.is_number() {
        // A number that is too large for `Value` may be a whole one.
        let is_number = |raw: &RawValue| raw.get().starts_with(|c: char| c.is_ascii_digit());
        let is_number = members.last_raw("max_tokens").is_some_and(is_number);
        assert!(found.max_tokens == 0 || is_number);
    }
    if found.bills_user_profile {
        let policy = members.last_raw("billing_policy").map(RawValue::get);
        let policy = policy.and_then(|policy| serde_json::from_str::<Members<'_>>(policy).ok());
        let bill_to = policy.and_then(|policy| policy.last("bill_to"));
        assert_eq!(bill_to, Some("user_profile".into()));
    }
}

/// Each member is there, in order, and is JSON by itself.
fn check_fields<'a>(fields: impl Iterator<Item = Field<'a>>, members: &Members<'_>) {
    let fields: Vec<_> = fields.collect();
    assert_eq!(fields.len(), members.0.len());
    for (field, (name, value)) in fields.iter().zip(&members.0) {
        assert_eq!((&*field.name, field.json), (name.as_str(), value.get()));
        assert!(serde_json::from_str::<IgnoredAny>(field.json).is_ok());
    }
}

/// With the last of each name they are the object, if it isn't too deep to be one.
fn check_values<'a>(fields: impl Iterator<Item = Field<'a>>, object: &[u8]) {
    let Ok(object) = serde_json::from_slice::<HashMap<String, Value>>(object) else {
        return;
    };
    let mut values = HashMap::new();
    for field in fields {
        let value = serde_json::from_str(field.json).unwrap_or_default();
        values.insert(field.name.into_owned(), value);
    }
    assert_eq!(values, object);
}

fn check_remainder(found: Inspected) {
    let model = found.model.clone();
    let found = found.without_body();
    assert_eq!(
        (found.model.as_str(), found.body_bytes()),
        (model.as_str(), 0)
    );
    assert_eq!(found.fields().count(), 0);
}

/// The members at the top level, in their order; of their values it is only certain where they end.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// The value of the last member of this name, if it isn't too deep.
    fn last(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.last_raw(name)?.get()).ok()
    }

    pub(crate) fn last_raw(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.0.iter().rfind(|(other, _)| other == name)?;
        Some(value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AllMembers)
    }
}

struct AllMembers;

impl<'de> Visitor<'de> for AllMembers {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = fields.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
