//! What a body has that must not be seen again.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

/// A password or a code. No error and no `Debug` output shows it.
#[derive(Clone, ToSchema)]
#[schema(value_type = String)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err(serde::de::Error::custom("must be a text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_is_refused_without_being_shown() {
        for wrong in [json!(271_828), json!(["271828"]), json!(null)] {
            let error = serde_json::from_value::<Secret>(wrong).unwrap_err();
            assert!(!error.to_string().contains("271828"), "{error}");
        }
        let secret = Secret("271828".to_owned());
        assert!(!format!("{secret:?}").contains("271828"));
    }
}
