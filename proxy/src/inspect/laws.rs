//! What must hold of every body that is inspected: it says what `serde_json` says of the same bytes.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{InspectError, inspect};

pub(crate) fn check(body: &[u8]) {
    let found = inspect(body);
    let Ok(members) = serde_json::from_slice::<Members<'_>>(body) else {
        // What is no text is for the upstream to refuse, where it isn't ours to read.
        assert!(found == Err(InspectError::NotAnObject) || std::str::from_utf8(body).is_err());
        return;
    };
    if !members.are_readable() {
        assert_eq!(found, Err(InspectError::NotAnObject));
        return;
    }
    let Some(Value::String(model)) = members.last("model") else {
        assert_eq!(found, Err(InspectError::ModelMissing));
        return;
    };
    assert!(found.is_ok(), "{found:?}");
    let Ok(found) = found else { return };
    assert_eq!(found.model, model);
    assert_eq!(found.stream, members.last("stream") == Some(true.into()));
    if found.bills_user_profile {
        let policy = members.last_raw("billing_policy").map(RawValue::get);
        let policy = policy.and_then(|policy| serde_json::from_str::<Members<'_>>(policy).ok());
        let bill_to = policy.and_then(|policy| policy.last("bill_to"));
        assert_eq!(bill_to, Some("user_profile".into()));
    }
}

/// The members at the top level, in their order; of their values it is only certain where they end.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// Whether what must be known can be: strings and keys without half a character, numbers that are not out of range.
    fn are_readable(&self) -> bool {
        let known = |name: &str| matches!(name, "model" | "stream");
        let mut values = self.0.iter().filter(|(name, _)| known(name));
        values.all(|(_, value)| match value.get() {
            list if list.starts_with('[') => true,
            object if object.starts_with('{') => {
                serde_json::from_str::<Members<'_>>(object).is_ok()
            }
            scalar => serde_json::from_str::<Value>(scalar).is_ok(),
        })
    }

    /// The value of the last member of this name, if it isn't too deep.
    fn last(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.last_raw(name)?.get()).ok()
    }

    fn last_raw(&self, name: &str) -> Option<&RawValue> {
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
