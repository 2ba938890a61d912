//! A search through all texts of a request, as the model would read them.

use std::borrow::Cow;
use std::fmt;

use regex::RegexSet;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What is longer and nothing but base64 is data that was encoded.
const SHORTEST_DATA: usize = 256;

/// Looks for patterns in every string of a JSON document, up to so many bytes in all.
#[derive(Debug)]
pub(super) struct Search<'p> {
    patterns: &'p RegexSet,
    left: usize,
    found: Option<usize>,
}

impl<'p> Search<'p> {
    pub(super) fn new(patterns: &'p RegexSet, most_bytes: usize) -> Self {
        Self {
            patterns,
            left: most_bytes,
            found: None,
        }
    }

    /// Looks through a document. Answers the number of the pattern that was found first.
    ///
    /// # Errors
    /// If it isn't JSON, or nested too deeply.
    pub(super) fn through(&mut self, json: &str) -> Result<Option<usize>, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(json);
        Each::of(self).deserialize(&mut reader)?;
        Ok(self.found)
    }

    fn text(&mut self, text: &str) {
        if self.found.is_some() || self.left == 0 {
            return;
        }
        let mut end = text.len().min(self.left);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        self.left -= end;
        self.found = self.patterns.matches(text).iter().next();
    }
}

/// One value.
struct Each<'s, 'p> {
    search: &'s mut Search<'p>,
    may_be_encoded: bool,
}

impl<'s, 'p> Each<'s, 'p> {
    fn of(search: &'s mut Search<'p>) -> Self {
        Self {
            search,
            may_be_encoded: false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Each<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Each<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if !(self.may_be_encoded && is_encoded(text)) {
            self.search.text(text);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Each::of(self.search))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = fields.next_key()? {
            let each = Each {
                search: self.search,
                may_be_encoded: name == "data",
            };
            fields.next_value_seed(each)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn is_encoded(text: &str) -> bool {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    text.len() >= SHORTEST_DATA && text.bytes().all(is_base64)
}
