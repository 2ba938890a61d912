//! Reads JSON values into rules, and notes everything that is wrong with them.
//!
//! Every method answers `None` where it noted a fault, so that a reader goes on to the next field. `null` is as good as a field
//! that is missing.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::fault::Fault;

/// Everything that was found wrong.
pub(crate) type Faults = Vec<Fault>;

/// The most entries a list of a policy may have.
pub(crate) const MOST_ENTRIES: usize = 1_000;

/// A value, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a> {
    pub(crate) path: String,
    pub(crate) value: &'a Value,
}

impl<'a> Item<'a> {
    pub(crate) fn new(path: &str, value: &'a Value) -> Self {
        Self {
            path: path.to_owned(),
            value,
        }
    }

    /// Notes what must be here instead.
    pub(crate) fn fault<T>(&self, faults: &mut Faults, message: impl Into<String>) -> Option<T> {
        faults.push(Fault::new(self.path.as_str(), message));
        None
    }

    /// A string that isn't empty.
    pub(crate) fn text(&self, faults: &mut Faults) -> Option<&'a str> {
        match self.value.as_str() {
            Some(text) if !text.is_empty() => Some(text),
            _ => self.fault(faults, "must be a string that isn't empty"),
        }
    }

    pub(crate) fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        match self.value.as_bool() {
            Some(value) => Some(value),
            None => self.fault(faults, "must be true or false"),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&self, bounds: RangeInclusive<u64>, faults: &mut Faults) -> Option<u64> {
        match self.value.as_u64() {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => {
                let (least, most) = bounds.into_inner();
                self.fault(
                    faults,
                    format!("must be a whole number from {least} to {most}"),
                )
            }
        }
    }

    /// The entries of a list, each read; those with faults are left out.
    pub(crate) fn list<T>(
        &self,
        faults: &mut Faults,
        read: impl Fn(&Item<'a>, &mut Faults) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(entries) = self.value.as_array() else {
            return self.fault(faults, "must be a list");
        };
        if entries.len() > MOST_ENTRIES {
            return self.fault(
                faults,
                format!("must have no more than {MOST_ENTRIES} entries"),
            );
        }
        let entry = |(index, value)| Item {
            path: format!("{}[{index}]", self.path),
            value,
        };
        let items = entries.iter().enumerate().map(entry);
        Some(items.filter_map(|item| read(&item, faults)).collect())
    }

    /// A list of strings that aren't empty.
    pub(crate) fn texts(&self, faults: &mut Faults) -> Option<Vec<&'a str>> {
        self.list(faults, Item::text)
    }
}

/// An object that is read field by field.
#[derive(Debug)]
pub(crate) struct Reader<'a, 'f> {
    path: String,
    fields: Option<&'a Map<String, Value>>,
    known: Vec<String>,
    faults: &'f mut Faults,
}

impl<'a, 'f> Reader<'a, 'f> {
    /// Of the object at a path; if it is none, that is the fault, and no field is there.
    pub(crate) fn new(item: &Item<'a>, faults: &'f mut Faults) -> Self {
        let fields = item.value.as_object();
        if fields.is_none() {
            faults.push(Fault::new(item.path.as_str(), "must be an object"));
        }
        Self {
            path: item.path.clone(),
            fields,
            known: Vec::new(),
            faults,
        }
    }

    /// A field, read; none if it is missing, `null`, or has a fault.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Item<'a>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name.to_owned());
        let value = self.fields?.get(name).filter(|value| !value.is_null())?;
        let item = Item {
            path: format!("{}.{name}", self.path),
            value,
        };
        read(&item, self.faults)
    }

    /// The same of a field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Item<'a>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        let there = self.fields.is_none_or(|fields| {
            let value = fields.get(name);
            value.is_some_and(|value| !value.is_null())
        });
        if !there {
            let path = format!("{}.{name}", self.path);
            self.faults.push(Fault::new(path, "is missing"));
        }
        self.optional(name, read)
    }

    /// Notes every field that nobody asked for. An object whose other fields are somebody else's is left without this.
    pub(crate) fn finish(self) {
        for name in self.fields.into_iter().flat_map(Map::keys) {
            if !self.known.contains(name) {
                let path = format!("{}.{name}", self.path);
                let message = format!("is unknown; there are {}", self.known.join(", "));
                self.faults.push(Fault::new(path, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_fault_is_noted_where_it_is() {
        let value = json!({"name": "", "most": -1, "on": "yes", "of": ["a", 1, ""], "to": {}, "nothing": null, "typo": 1});
        let mut faults = Faults::new();
        let mut reader = Reader::new(&Item::new("$.rules", &value), &mut faults);
        assert_eq!(reader.required("name", Item::text), None);
        assert_eq!(
            reader.optional("most", |item, faults| item.whole(0..=9, faults)),
            None
        );
        assert_eq!(reader.optional("on", Item::boolean), None);
        assert_eq!(reader.optional("of", Item::texts), Some(vec!["a"]));
        assert_eq!(reader.optional("to", Item::texts), None);
        assert_eq!(reader.required("nothing", Item::text), None);
        reader.finish();
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "$.rules.name: must be a string that isn't empty",
                "$.rules.most: must be a whole number from 0 to 9",
                "$.rules.on: must be true or false",
                "$.rules.of[1]: must be a string that isn't empty",
                "$.rules.of[2]: must be a string that isn't empty",
                "$.rules.to: must be a list",
                "$.rules.nothing: is missing",
                "$.rules.typo: is unknown; there are name, most, on, of, to, nothing",
            ]
        );
    }

    #[test]
    fn what_is_no_object_has_one_fault() {
        for value in [json!(null), json!([]), json!("x"), json!(1)] {
            let mut faults = Faults::new();
            let mut reader = Reader::new(&Item::new("$", &value), &mut faults);
            assert_eq!(reader.required("name", Item::text), None);
            reader.finish();
            assert_eq!(faults, [Fault::new("$", "must be an object")], "{value}");
        }
    }
}
