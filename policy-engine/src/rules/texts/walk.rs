//! Goes through a JSON value string by string, without building a tree of it.

use std::fmt;

use regex::RegexSet;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ENCODED, is_encoded};
use crate::rules::json::{self, Text};

/// A search through one request.
#[derive(Debug)]
pub(super) struct Walk<'s> {
    set: &'s RegexSet,
    bytes_left: usize,
    matched: Option<usize>,
}

/// The next value, and whether all of it counts as text.
struct Next<'w, 's> {
    walk: &'w mut Walk<'s>,
    all: bool,
}

impl<'s> Walk<'s> {
    pub(super) fn new(set: &'s RegexSet, most_bytes: usize) -> Self {
        Self {
            set,
            bytes_left: most_bytes,
            matched: None,
        }
    }

    /// Searches one more value. An error is one of its JSON.
    pub(super) fn value(&mut self, json: &str) -> Result<(), serde_json::Error> {
        if self.is_over() {
            return Ok(());
        }
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = self.next(false).deserialize(&mut deserializer);
        if self.is_over() { Ok(()) } else { read }
    }

    /// Which pattern was found.
    pub(super) fn matched(&self) -> Option<usize> {
        self.matched
    }

    fn next(&mut self, all: bool) -> Next<'_, 's> {
        Next { walk: self, all }
    }

    fn unencoded_texts_of<E: Error>(&mut self, value: &RawValue) -> Result<(), E> {
        match json::text(value.get()) {
            Some(text) if is_encoded(&text) => Ok(()),
            _ => self.every_text_of(value),
        }
    }

    /// Nothing within it is kept for later, so that no more than two readers are ever within each other.
    fn every_text_of<E: Error>(&mut self, value: &RawValue) -> Result<(), E> {
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        let read = self.next(true).deserialize(&mut deserializer);
        read.map_err(E::custom)
    }

    fn is_over(&self) -> bool {
        self.matched.is_some() || self.bytes_left == 0
    }

    /// Looks at no more of a text than may still be searched, without splitting a character.
    fn search(&mut self, text: &str) {
        let end = text.floor_char_boundary(self.bytes_left);
        let searched = text.get(..end).unwrap_or_default();
        self.bytes_left = if end < text.len() {
            0
        } else {
            self.bytes_left.saturating_sub(end)
        };
        if self.set.is_match(searched) {
            self.matched = self.set.matches(searched).iter().next();
        }
    }
}

impl Next<'_, '_> {
    /// Ends the walk where nothing more can come of it.
    fn go_on<E: Error>(&self) -> Result<(), E> {
        if self.walk.is_over() {
            return Err(E::custom("the search is over"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Next<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Next<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.walk.search(text);
        self.go_on()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.walk.next(self.all))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut encoded, mut is_text) = (None, false);
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "data" if !self.all => encoded = Some(map.next_value::<&'de RawValue>()?),
                "type" if !self.all => {
                    let kind = map.next_value::<&'de RawValue>()?;
                    is_text = json::text(kind.get()).is_some_and(|kind| kind == "text");
                    self.walk.every_text_of(kind)?;
                }
                name if !self.all && ENCODED.contains(&name) => {
                    self.walk.unencoded_texts_of(map.next_value()?)?;
                }
                name => {
                    let all = self.all || name == "input";
                    map.next_value_seed(self.walk.next(all))?;
                }
            }
        }
        match encoded {
            Some(data) if is_text => self.walk.every_text_of(data),
            Some(data) => self.walk.unencoded_texts_of(data),
            None => Ok(()),
        }
    }
}
