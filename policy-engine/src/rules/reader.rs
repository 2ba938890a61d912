//! Reads JSON objects and says everything that is wrong with them, and where.
//!
//! Nothing ends at the first fault: whoever wrote the object sees all of them at once.

use serde_json::{Map, Value};

use crate::fault::Fault;

/// Faults so far.
pub(crate) type Faults = Vec<Fault>;

/// An object that is being read.
pub(crate) struct Reader<'a> {
    path: String,
    object: Option<&'a Map<String, Value>>,
    faults: &'a mut Faults,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// Begins to read what stands at a path. Something that isn't an object is a fault, and has no fields.
    pub(crate) fn new(path: impl Into<String>, value: &'a Value, faults: &'a mut Faults) -> Self {
        let path = path.into();
        let object = value.as_object();
        if object.is_none() && !value.is_null() {
            faults.push(Fault::new(path.as_str(), "must be an object"));
        }
        Self {
            path,
            object,
            faults,
            known: Vec::new(),
        }
    }

    /// A field that may be absent; `null` is as good as absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(name);
        let value = self.object?.get(name).filter(|value| !value.is_null())?;
        match parse(value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(format_args!(".{name}"), message);
                None
            }
        }
    }

    /// A field that has to be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        let mut is_there = false;
        let value = self.optional(name, |value| {
            is_there = true;
            parse(value)
        });
        if !is_there && self.object.is_some() {
            self.fault(format_args!(".{name}"), "must be there");
        }
        value
    }

    /// A list that may be absent. Entries with faults are left out of it.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        mut parse: impl FnMut(&'a Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let values = self.optional(name, array)?;
        let mut list = Vec::new();
        for (index, value) in values.iter().enumerate() {
            match parse(value) {
                Ok(value) => list.push(value),
                Err(message) => self.fault(format_args!(".{name}[{index}]"), message),
            }
        }
        Some(list)
    }

    /// The objects of a list that may be absent, each with its path.
    pub(crate) fn objects<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Reader<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = self.optional(name, array)?;
        let mut list = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let path = format!("{}.{name}[{index}]", self.path);
            if value.is_object() {
                list.extend(read(Reader::new(path, value, self.faults)));
            } else {
                self.faults.push(Fault::new(path, "must be an object"));
            }
        }
        Some(list)
    }

    /// A fault below this object.
    pub(crate) fn fault(&mut self, below: impl std::fmt::Display, message: impl Into<String>) {
        let path = format!("{}{below}", self.path);
        self.faults.push(Fault::new(path, message));
    }

    /// Says of fields that nobody has asked for that there are no such fields.
    pub(crate) fn finish(mut self) {
        let Some(object) = self.object else { return };
        self.known.sort_unstable();
        self.known.dedup();
        let known = self.known.join(", ");
        for name in object.keys() {
            if !self.known.contains(&name.as_str()) {
                self.fault(
                    format_args!(".{name}"),
                    format!("there is no such field: there are {known}"),
                );
            }
        }
    }
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "must be a list".to_owned())
}

/// Any text.
pub(crate) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a text".to_owned())
}

/// `true` or `false`.
pub(crate) fn boolean(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "must be true or false".to_owned())
}

/// A whole number of these.
pub(crate) fn whole(
    range: std::ops::RangeInclusive<u64>,
) -> impl Fn(&Value) -> Result<u64, String> {
    move |value| {
        let number = value.as_u64().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            if *most == u64::MAX {
                format!("must be a whole number of {least} or more")
            } else {
                format!("must be a whole number from {least} to {most}")
            }
        })
    }
}

/// One of these words.
pub(crate) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let found = words.iter().find(|(word, _)| value == *word);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("must be one of {}", words.join(", "))
        })
    }
}
