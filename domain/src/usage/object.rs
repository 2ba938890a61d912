//! A usage object as it was received.

use std::fmt;
use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::plain::{self, Member};

/// The members of a usage object, less those that are null.
///
/// Nearly every one is plain: a dozen numbers and words. Such a one is kept as its text, with where its members are; others, and those
/// with iterations, which have to be gone through, are kept as a tree. What they say is the same.
#[derive(Clone)]
pub struct UsageObject(Form);

#[derive(Clone)]
enum Form {
    /// A whole object, and its members in it.
    Plain {
        text: Box<str>,
        members: Vec<Member>,
    },
    Tree(Map<String, Value>),
}

/// A counter, as somebody else wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// It isn't there, or null.
    Absent,
    /// It is a whole number.
    Is(u64),
    /// It is something else.
    Senseless,
}

/// What is looked through, entry by entry.
const ITERATIONS: &str = "iterations";

impl UsageObject {
    /// Reads one; none of what is anything but an object.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(json).ok()?;
        if let Some(members) = plain::members(text)
            && !has_iterations(text, &members)
        {
            if own(&members).all(|member| member.value(text) != "null") {
                let text = text.into();
                return Some(Self(Form::Plain { text, members }));
            }
            let named = own(&members).map(|member| member.of(text));
            return Self::of_plain(named.filter(|(_, value)| *value != "null"));
        }
        let tree: Map<_, _> = serde_json::from_str(text).ok()?;
        Some(tree.into())
    }

    /// Of names and values in JSON, all plain and none null; none if together they aren't.
    fn of_plain<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut text = String::from("{");
        for (name, value) in members {
            if text.len() > 1 {
                text.push(',');
            }
            text.extend(["\"", name, "\":", value]);
        }
        text.push('}');
        let members = plain::members(&text)?;
        let text = text.into();
        Some(Self(Form::Plain { text, members }))
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many members it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Plain { members, .. } => own(members).count(),
            Form::Tree(tree) => tree.len(),
        }
    }

    /// A counter of its own.
    #[must_use]
    pub fn figure(&self, name: &str) -> Figure {
        match &self.0 {
            Form::Plain { .. } => self.plain(name).map_or(Figure::Absent, Figure::of_text),
            Form::Tree(tree) => Figure::of(tree.get(name)),
        }
    }

    /// A counter of an object in it.
    #[must_use]
    pub fn figure_in(&self, object: &str, name: &str) -> Figure {
        match &self.0 {
            Form::Plain { text, members } => {
                let mut behind = members.iter();
                let is_object =
                    |member: &&Member| !member.is_inner && member.is_named(object, text);
                let found = behind.find(is_object).and_then(|_| {
                    let mut inner = behind.take_while(|member| member.is_inner);
                    inner.find(|member| member.is_named(name, text))
                });
                found.map_or(Figure::Absent, |member| Figure::of_text(member.value(text)))
            }
            Form::Tree(tree) => Figure::of(tree.get(object).and_then(|inner| inner.get(name))),
        }
    }

    /// A word.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&str> {
        match &self.0 {
            // What is plain has no escapes.
            Form::Plain { .. } => self.plain(name)?.strip_prefix('"')?.strip_suffix('"'),
            Form::Tree(tree) => tree.get(name)?.as_str(),
        }
    }

    /// A number, whole or not.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        match &self.0 {
            Form::Plain { .. } => self.plain(name)?.parse().ok(),
            Form::Tree(tree) => tree.get(name)?.as_f64(),
        }
    }

    /// What it says of `iterations`; none if it has none.
    #[must_use]
    pub fn iterations(&self) -> Option<&Value> {
        match &self.0 {
            Form::Plain { .. } => None,
            Form::Tree(tree) => tree.get(ITERATIONS),
        }
    }

    /// Lays another one over it, whose members take the place of its own. Answers whether all of them found one: beyond so many members
    /// nothing is added.
    pub fn lay(&mut self, over: Self, most_members: usize) -> bool {
        if self.is_empty() && over.len() <= most_members {
            *self = over;
            return true;
        }
        if let Some(laid) = self
            .laid_plain(&over)
            .filter(|laid| laid.len() <= most_members)
        {
            *self = laid;
            return true;
        }
        let mut tree = std::mem::take(self).into_tree();
        let mut fits = true;
        for (name, value) in over.into_tree() {
            if tree.len() < most_members || tree.contains_key(&name) {
                tree.insert(name, value);
            } else {
                fits = false;
            }
        }
        *self = tree.into();
        fits
    }

    /// The same of two that are plain.
    fn laid_plain(&self, over: &Self) -> Option<Self> {
        let (
            Form::Plain { text, members },
            Form::Plain {
                text: over_text,
                members: over_members,
            },
        ) = (&self.0, &over.0)
        else {
            return None;
        };
        let kept = own(members).filter(|member| over.plain(member.name(text)).is_none());
        let kept = kept.map(|member| member.of(text));
        let laid = own(over_members).map(|member| member.of(over_text));
        Self::of_plain(kept.chain(laid))
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&self, mut out: impl io::Write) -> io::Result<()> {
        match &self.0 {
            Form::Plain { text, .. } => out.write_all(text.as_bytes()),
            Form::Tree(tree) => Ok(serde_json::to_writer(out, tree)?),
        }
    }

    /// Its members as a tree.
    #[must_use]
    pub fn into_tree(self) -> Map<String, Value> {
        match self.0 {
            // What is plain is JSON.
            Form::Plain { text, .. } => serde_json::from_str(&text).unwrap_or_default(),
            Form::Tree(tree) => tree,
        }
    }

    fn plain(&self, name: &str) -> Option<&str> {
        let Form::Plain { text, members } = &self.0 else {
            return None;
        };
        let member = own(members).find(|member| member.is_named(name, text));
        member.map(|member| member.value(text))
    }
}

fn has_iterations(text: &str, members: &[Member]) -> bool {
    own(members).any(|member| member.is_named(ITERATIONS, text))
}

/// Less those of objects in it.
fn own(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| !member.is_inner)
}

impl Default for UsageObject {
    fn default() -> Self {
        Self(Form::Tree(Map::new()))
    }
}

impl From<Map<String, Value>> for UsageObject {
    fn from(mut tree: Map<String, Value>) -> Self {
        tree.retain(|_, value| !value.is_null());
        Self(Form::Tree(tree))
    }
}

impl PartialEq for UsageObject {
    fn eq(&self, other: &Self) -> bool {
        self.clone().into_tree() == other.clone().into_tree()
    }
}

impl fmt::Debug for UsageObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Plain { text, .. } => f.write_str(text),
            Form::Tree(tree) => f.debug_map().entries(tree).finish(),
        }
    }
}

impl Serialize for UsageObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.clone().into_tree().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UsageObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self::from)
    }
}

impl Figure {
    /// What a member's value is.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(value) => value.as_u64().map_or(Self::Senseless, Self::Is),
        }
    }

    /// Of plain JSON.
    fn of_text(json: &str) -> Self {
        match json {
            "null" => Self::Absent,
            json => json.parse().map_or(Self::Senseless, Self::Is),
        }
    }
}

#[cfg(test)]
mod tests;
