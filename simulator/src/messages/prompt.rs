//! How many tokens a prompt is said to have, and which of them a cache would hold.
//!
//! A token is four characters of the strings in `tools`, `system` and `messages`, in that order, which is the
//! order of the API's cache prefix. Base64 data counts as at most 1,600 tokens. Each `cache_control` marks
//! the prompt up to the end of its block as cached, with its own time to live.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api_error::ApiError;

const CHARS_PER_TOKEN: u64 = 4;
const MAX_DATA_CHARS: u64 = 1_600 * CHARS_PER_TOKEN;

/// A prompt's tokens by how the cache treats them; at least one is uncached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) uncached_tokens: u64,
    pub(super) cached_5m_tokens: u64,
    pub(super) cached_1h_tokens: u64,
}

impl Prompt {
    pub(super) fn read(
        tools: Option<&RawValue>,
        system: Option<&RawValue>,
        messages: &RawValue,
        whole: Option<&RawValue>,
    ) -> Result<Self, ApiError> {
        let mut tally = Tally::default();
        for part in [tools, system, Some(messages)].into_iter().flatten() {
            Reader {
                tally: &mut tally,
                key: Key::Other,
            }
            .deserialize(&mut serde_json::Deserializer::from_str(part.get()))
            .map_err(|_| ApiError::invalid("The request body is nested too deeply"))?;
        }
        // A top-level `cache_control` means: cache up to the last block.
        if let Some(control) = whole
            && let Ok(Some(control)) = serde_json::from_str::<Option<CacheControl>>(control.get())
        {
            tally.mark(control.ttl);
        }
        Ok(tally.into())
    }

    pub(super) fn total_tokens(&self) -> u64 {
        self.uncached_tokens + self.cached_5m_tokens + self.cached_1h_tokens
    }
}

#[derive(Debug, Default)]
struct Tally {
    chars: u64,
    /// Tokens up to the last mark.
    marked_tokens: u64,
    cached_5m_tokens: u64,
    cached_1h_tokens: u64,
}

impl Tally {
    fn mark(&mut self, ttl: Ttl) {
        let tokens = self.chars.div_ceil(CHARS_PER_TOKEN);
        let new = tokens.saturating_sub(self.marked_tokens);
        self.marked_tokens = tokens;
        match ttl {
            Ttl::FiveMinutes => self.cached_5m_tokens += new,
            Ttl::OneHour => self.cached_1h_tokens += new,
        }
    }
}

impl From<Tally> for Prompt {
    fn from(tally: Tally) -> Self {
        let tokens = tally.chars.div_ceil(CHARS_PER_TOKEN);
        Self {
            uncached_tokens: tokens.saturating_sub(tally.marked_tokens).max(1),
            cached_5m_tokens: tally.cached_5m_tokens,
            cached_1h_tokens: tally.cached_1h_tokens,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Ttl {
    #[default]
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "1h")]
    OneHour,
}

#[derive(Debug, Deserialize)]
struct CacheControl {
    #[serde(default)]
    ttl: Ttl,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    CacheControl,
    Data,
    #[serde(other)]
    Other,
}

/// Walks a JSON value without building it.
struct Reader<'t> {
    tally: &'t mut Tally,
    key: Key,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.tally.chars += match self.key {
            Key::Data => (text.len() as u64).min(MAX_DATA_CHARS),
            Key::CacheControl | Key::Other => text.chars().count() as u64,
        };
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut control = None;
        while let Some(key) = map.next_key()? {
            if matches!(key, Key::CacheControl) {
                control = map.next_value::<Option<CacheControl>>()?;
            } else {
                map.next_value_seed(Reader {
                    tally: self.tally,
                    key,
                })?;
            }
        }
        if let Some(CacheControl { ttl }) = control {
            self.tally.mark(ttl);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Reader {
                tally: self.tally,
                key: self.key,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Prompt, RawValue};

    fn check(system: &str, messages: &str, whole: Option<&str>, expected: (u64, u64, u64)) {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let (system, messages) = (raw(system), raw(messages));
        let whole = whole.map(raw);
        let prompt = Prompt::read(None, Some(&system), &messages, whole.as_deref()).unwrap();
        let found = (
            prompt.uncached_tokens,
            prompt.cached_5m_tokens,
            prompt.cached_1h_tokens,
        );
        assert_eq!(found, expected, "{system} {messages}");
    }

    #[test]
    fn four_characters_are_a_token() {
        check(r#""""#, "[]", None, (1, 0, 0));
        check(r#""12345678""#, "[]", None, (2, 0, 0));
        check(r#""éééé""#, r#"["1"]"#, None, (2, 0, 0));
    }

    #[test]
    fn cache_control_marks_the_prefix() {
        let block = |control: &str| format!(r#"[{{"cache_control":{control},"text":"12345678"}}]"#);
        let hour = block(r#"{"type":"ephemeral","ttl":"1h"}"#);
        let minutes = block(r#"{"type":"ephemeral"}"#);
        check(&hour, &minutes, None, (1, 2, 2));
        check(&minutes, r#"["12345678"]"#, None, (2, 2, 0));
        check(&block("null"), "[]", None, (2, 0, 0));
        check(
            r#""1234""#,
            r#"["1234"]"#,
            Some(r#"{"type":"ephemeral","ttl":"1h"}"#),
            (1, 0, 2),
        );
    }

    #[test]
    fn images_have_a_fixed_price_at_most() {
        let image = format!(r#"[{{"data":"{}"}}]"#, "A".repeat(100_000));
        check(r#""""#, &image, None, (1_600, 0, 0));
    }
}
