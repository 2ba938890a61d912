//! The way through a batch's body, to the members of each item's `params`.

use super::Each;
use super::draft::{Draft, text_of};
use super::place::{Level, Next, Place, Role, begins_value};
use crate::inspect::InspectError;
use crate::skip::Skip;

/// No rule is about a member with a longer name; such a member is passed over.
pub(super) const MOST_OF_A_NAME: usize = 1 << 10;

/// The progress through one body.
#[derive(Debug, Default)]
pub(super) struct Walk {
    place: Place,
    /// The innermost object or array that was entered.
    inside: Option<Level>,
    skip: Skip,
    /// Of the last member, with quotes; one byte more than there may be if it is longer.
    name: Vec<u8>,
    draft: Draft,
}

impl Walk {
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.place, Place::Ended)
    }

    /// Goes on through the next bytes. Behind an error there is no going on.
    pub(super) fn feed(&mut self, mut bytes: &[u8], each: Each<'_>) -> Result<(), InspectError> {
        while !bytes.is_empty() {
            let is_in_params = self.inside == Some(Level::Params);
            let rest = match self.place {
                Place::InKey => self.in_key(bytes)?,
                Place::InValue(role) => self.in_value(role, bytes)?,
                Place::Value(_)
                | Place::Opened
                | Place::Key
                | Place::Colon(_)
                | Place::Behind
                | Place::Ended => self.between(bytes, each)?,
            };
            if is_in_params {
                self.draft.count_params(bytes.len() - rest.len());
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Outside of keys and of values that are not entered.
    fn between<'a>(&mut self, bytes: &'a [u8], each: Each<'_>) -> Result<&'a [u8], InspectError> {
        let bytes = bytes.trim_ascii_start();
        let Some((first, behind)) = bytes.split_first() else {
            return Ok(bytes);
        };
        let next = self.place.next(self.inside, *first);
        match next.ok_or(InspectError::NotAnObject)? {
            Next::Key => {
                self.name.clear();
                self.begin(Place::InKey);
                Ok(bytes)
            }
            Next::Value(role) => self.value(role, *first, bytes),
            Next::Place(place) => {
                self.place = place;
                Ok(behind)
            }
            Next::End(level) => {
                self.leave(level, each)?;
                Ok(behind)
            }
        }
    }

    /// At the first byte of a value.
    fn value<'a>(
        &mut self,
        role: Role,
        first: u8,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], InspectError> {
        match role {
            Role::Level(Level::Item) => self.draft.begin(),
            Role::Level(Level::Params) => self.draft.begin_params(),
            Role::CustomId => self.draft.begin_custom_id(),
            Role::Member => self.draft.begin_member(&self.name)?,
            Role::Level(Level::Body | Level::Requests) | Role::Other => {}
        }
        if let Role::Level(level) = role
            && first == level.opening()
        {
            self.enter(level);
            return Ok(bytes.get(1..).unwrap_or_default());
        }
        if role == Role::Level(Level::Body) || !begins_value(first) {
            return Err(InspectError::NotAnObject);
        }
        self.begin(Place::InValue(role));
        Ok(bytes)
    }

    fn begin(&mut self, place: Place) {
        self.skip = Skip::default();
        self.place = place;
    }

    fn in_key<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], InspectError> {
        let part = self.skip.advance(bytes);
        let room = (MOST_OF_A_NAME + 1).saturating_sub(self.name.len());
        let piece = part.taken.get(..room).unwrap_or(part.taken);
        self.name.extend_from_slice(piece);
        if part.ended {
            self.place = Place::Colon(self.role_of_name()?);
        }
        Ok(part.rest)
    }

    fn role_of_name(&self) -> Result<Role, InspectError> {
        let Some(level) = self.inside.filter(|_| self.name.len() <= MOST_OF_A_NAME) else {
            return Ok(Role::Other);
        };
        Ok(level.member(&text_of(&self.name)?))
    }

    fn in_value<'a>(&mut self, role: Role, bytes: &'a [u8]) -> Result<&'a [u8], InspectError> {
        let part = self.skip.advance(bytes);
        match role {
            Role::Member => self.draft.push_value(part.taken),
            Role::CustomId => self.draft.push_custom_id(part.taken),
            Role::Level(_) | Role::Other => {}
        }
        if part.ended {
            self.place = Place::Behind;
            if role == Role::Member {
                self.draft.end_member(&self.name)?;
            }
        }
        Ok(part.rest)
    }

    fn enter(&mut self, level: Level) {
        self.inside = Some(level);
        self.place = Place::Opened;
        if level == Level::Params {
            self.draft.count_params(1);
        }
    }

    fn leave(&mut self, level: Level, each: Each<'_>) -> Result<(), InspectError> {
        if level == Level::Item {
            each(&self.draft.finish()?);
        }
        self.inside = level.outer();
        self.place = self.inside.map_or(Place::Ended, |_| Place::Behind);
        Ok(())
    }
}
