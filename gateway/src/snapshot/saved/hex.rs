//! The SHA-256 of a key, as `api_keys.key_hash` has it.

use domain::KeyHash;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(hash: &KeyHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_hex())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
    let text = String::deserialize(deserializer)?;
    KeyHash::from_hex(&text).ok_or_else(|| D::Error::custom("a key's hash is not 64 hex digits"))
}
