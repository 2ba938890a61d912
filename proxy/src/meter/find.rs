//! The members that matter, found in a JSON object whose bytes are cut anywhere.
//!
//! Guarantees: a member counts only at its place in the [`Shape`], however its key is spelled and wherever
//! its name occurs again; of equal keys the last wins; memory is bounded by the largest value kept.
//! It is no validator: it follows strings and brackets, and gives up ([`Finder::is_lost`]) only where it
//! can't go on.

use super::fields::Fields;
use super::kept::Kept;
use super::length::TextLength;
use super::quote;
use super::shape::{Element, Plan, Shape};
use crate::skip::Skip;

/// The progress through one object.
#[derive(Debug)]
pub(super) struct Finder {
    shape: Shape,
    /// The objects and arrays entered, innermost last.
    entered: Vec<Level>,
    place: Place,
    skip: Skip,
    length: TextLength,
    kept: Kept,
}

/// An object with its members, or an array of such objects.
#[derive(Debug, Clone, Copy)]
struct Level {
    shape: Shape,
    /// What is in it, of an array.
    elements: Option<Element>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Before a value, and before the colon behind its key.
    Value(Plan),
    InValue(Plan),
    /// In an entered object, before a key or the end.
    Key,
    InKey,
    /// In an entered array, before an element or the end.
    Element,
    /// Behind the whole value.
    Ended,
    /// Where JSON would go on otherwise.
    Lost,
}

impl Finder {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            entered: Vec::new(),
            place: Place::Value(Plan::Enter(shape)),
            skip: Skip::default(),
            length: TextLength::default(),
            kept: Kept::default(),
        }
    }

    /// Begins a new object of the same shape.
    pub(super) fn restart(&mut self) {
        self.entered.clear();
        self.place = Place::Value(Plan::Enter(self.shape));
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.place, Place::Ended)
    }

    /// Whether the bytes turned out not to be JSON.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.place, Place::Lost)
    }

    /// Looks at the next bytes and sets what it finds.
    pub(super) fn feed(&mut self, mut bytes: &[u8], fields: &mut Fields) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Value(plan) => self.value(plan, bytes),
                Place::InValue(Plan::Measure) => self.in_text(bytes, fields),
                Place::InValue(plan) => self.in_value(plan, bytes, fields),
                Place::Key => self.key(bytes, fields),
                Place::Element => self.element(bytes),
                Place::InKey => self.in_key(bytes),
                Place::Ended | Place::Lost => return,
            };
        }
    }

    fn value<'a>(&mut self, plan: Plan, bytes: &'a [u8]) -> &'a [u8] {
        let bytes = behind(b':', bytes);
        let Some((first, inside)) = bytes.split_first() else {
            return bytes;
        };
        match (plan, first) {
            (Plan::Enter(shape), b'{') => {
                self.enter(shape, None);
                inside
            }
            (Plan::Each(shape, elements), b'[') => {
                self.enter(shape, Some(elements));
                inside
            }
            (Plan::Measure, b'"') => {
                self.length = TextLength::default();
                self.place = Place::InValue(plan);
                inside
            }
            // Text that is not JSON looks like a number or a keyword, and would end at its first blank.
            _ if self.entered.is_empty() && !matches!(first, b'[' | b'"') => {
                self.place = Place::Lost;
                bytes
            }
            (Plan::Keep(_) | Plan::Weigh(_), _) => self.begin(Place::InValue(plan), bytes),
            (Plan::Enter(_) | Plan::Each(..) | Plan::Measure | Plan::Pass, _) => {
                self.begin(Place::InValue(Plan::Pass), bytes)
            }
        }
    }

    fn enter(&mut self, shape: Shape, elements: Option<Element>) {
        self.entered.push(Level { shape, elements });
        self.place = self.behind_value();
    }

    fn element<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let bytes = behind(b',', bytes);
        match bytes.split_first() {
            Some((b']', outside)) => {
                self.entered.pop();
                self.place = self.behind_value();
                outside
            }
            Some((b'{', inside)) => {
                let shape = self
                    .entered
                    .last()
                    .map_or(Shape::default(), |level| level.shape);
                self.enter(shape, None);
                inside
            }
            // Nothing would be taken of it, again and again.
            Some((b'}', _)) => {
                self.place = Place::Lost;
                bytes
            }
            Some(_) => self.begin(Place::InValue(Plan::Pass), bytes),
            None => bytes,
        }
    }

    fn key<'a>(&mut self, bytes: &'a [u8], fields: &mut Fields) -> &'a [u8] {
        let bytes = behind(b',', bytes);
        match bytes.split_first() {
            Some((b'"', _)) => match quote::leading(bytes) {
                Some((key, rest)) => {
                    self.place = Place::Value(self.plan_of(key));
                    rest
                }
                None => self.begin(Place::InKey, bytes),
            },
            Some((b'}', outside)) => {
                self.entered.pop();
                self.place = self.behind_value();
                match self.entered.last().and_then(|level| level.elements) {
                    Some(Element::Block) => fields.end_block(),
                    Some(Element::Object) => fields.end_object(),
                    None => {}
                }
                outside
            }
            Some(_) => {
                self.place = Place::Lost;
                bytes
            }
            None => bytes,
        }
    }

    /// At the first byte of a value or key to be skipped or kept.
    fn begin<'a>(&mut self, place: Place, bytes: &'a [u8]) -> &'a [u8] {
        self.skip = Skip::default();
        self.kept.clear();
        self.place = place;
        bytes
    }

    /// Through a key that has escapes or is cut.
    fn in_key<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let part = self.skip.advance(bytes);
        if part.ended {
            let mut key = std::mem::take(&mut self.kept);
            let key = key.whole(part.taken).and_then(quote::bytes);
            let plan = key.map_or(Plan::Pass, |key| self.plan_of(&key));
            self.place = Place::Value(plan);
        } else {
            self.kept.push(part.taken);
        }
        part.rest
    }

    fn in_value<'a>(&mut self, plan: Plan, bytes: &'a [u8], fields: &mut Fields) -> &'a [u8] {
        let part = self.skip.advance(bytes);
        match plan {
            Plan::Keep(field) if part.ended => fields.set(field, self.kept.whole(part.taken)),
            Plan::Keep(_) => self.kept.push(part.taken),
            Plan::Weigh(sized) => fields.weigh(sized, part.taken.len()),
            Plan::Pass | Plan::Measure | Plan::Enter(_) | Plan::Each(..) => {}
        }
        if part.ended {
            self.place = self.behind_value();
        }
        part.rest
    }

    fn in_text<'a>(&mut self, bytes: &'a [u8], fields: &mut Fields) -> &'a [u8] {
        let Some(rest) = self.length.advance(bytes) else {
            return &[];
        };
        fields.text_chars += self.length.chars();
        fields.text_bytes += self.length.bytes();
        self.place = self.behind_value();
        rest
    }

    /// What to do with the value of this key of the innermost object.
    fn plan_of(&self, key: &[u8]) -> Plan {
        let shape = self
            .entered
            .last()
            .map_or(Shape::default(), |level| level.shape);
        let member = shape.iter().find(|(name, _)| name.as_bytes() == key);
        member.map_or(Plan::Pass, |(_, plan)| *plan)
    }

    fn behind_value(&self) -> Place {
        match self.entered.last() {
            None => Place::Ended,
            Some(level) if level.elements.is_some() => Place::Element,
            Some(_) => Place::Key,
        }
    }
}

/// The bytes behind whitespace and any number of `mark`s.
fn behind(mark: u8, bytes: &[u8]) -> &[u8] {
    let between = |b: &u8| *b != mark && !matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let start = bytes.iter().position(between).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}
