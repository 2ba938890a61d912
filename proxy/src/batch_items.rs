//! The items of a message batch, read from the body of its creation as it passes.
//!
//! Guarantees: bytes may be cut anywhere and the items are the same; each is given as soon as it is whole, its fields as
//! those of a message's body; memory is bounded whatever passes. Of an item whose `params` have at most 1 MiB every
//! member is kept; of a larger one those of up to 64 KiB (2 MiB in all), and of the others what there is room for.
//!
//! It is no validator of the whole: what is kept of an item is checked, the rest is only followed. A body that it can't
//! follow, or that goes on behind its end, is one that the API refuses. Of a member named twice the last counts, as it
//! does for the API, but of `requests` every item is given.

mod draft;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod place;
mod walk;

use std::borrow::Cow;

use policy_engine::Field;

use self::walk::Walk;
use crate::coding::{DecodeError, Decoder};
use crate::inspect::{Asked, InspectError, Members};

/// The reader of one body.
pub(crate) struct BatchItems {
    decoder: Decoder,
    walk: Walk,
    /// How many decoded bytes may still come.
    room: u64,
    failed: Option<Unreadable>,
}

/// One of `requests`, whole.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    /// None if it isn't a string, or longer than any that the API takes.
    pub(crate) custom_id: Option<Cow<'a, str>>,
    /// The size of `params`.
    pub(crate) params_bytes: u64,
    /// The names of members that were not kept, for being long. What else has such a name may be out of date: nothing can
    /// be said of the item that depends on it.
    pub(crate) long: &'a [String],
    /// `params` without these.
    text: &'a str,
    members: Members,
}

/// Why the items of a body, or those that follow, can't be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its content coding can't be undone, or it is too large without it.
    #[error("the batch can't be decoded")]
    Coding(#[source] DecodeError),
    /// It is not JSON, not an object, or an item has too many members.
    #[error("the batch is not what the API takes")]
    Json(#[source] InspectError),
}

/// Gets each item.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Item<'_>);

impl BatchItems {
    /// A reader for a body with this `content-encoding`, of at most so many bytes without it.
    ///
    /// # Errors
    /// If there is no decoder for it.
    pub(crate) fn new(encoding: Option<&str>, max_bytes: u64) -> Result<Self, Unreadable> {
        Ok(Self {
            decoder: Decoder::new(encoding.unwrap_or_default()).map_err(Unreadable::Coding)?,
            walk: Walk::default(),
            room: max_bytes,
            failed: None,
        })
    }

    /// Reads the next bytes, and gives the items that end in them.
    ///
    /// # Errors
    /// From where on the body can't be read. It is the same error ever after, and there are no more items.
    pub(crate) fn feed(&mut self, bytes: &[u8], each: Each<'_>) -> Result<(), Unreadable> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let (walk, room) = (&mut self.walk, &mut self.room);
        let mut unreadable = None;
        let decoded = self.decoder.feed(bytes, &mut |piece| {
            let left = room.checked_sub(piece.len() as u64);
            *room = left.ok_or(DecodeError::TooLarge)?;
            walk.feed(piece, each).map_err(|error| {
                unreadable = Some(Unreadable::Json(error));
                DecodeError::Invalid
            })
        });
        let read = decoded.map_err(|error| unreadable.unwrap_or(Unreadable::Coding(error)));
        self.failed = read.err();
        read
    }

    /// Confirms that what was read is the whole body, and so all of its items.
    ///
    /// # Errors
    /// If it couldn't be read, or there must be more.
    pub(crate) fn finish(mut self) -> Result<(), Unreadable> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.decoder.end().map_err(Unreadable::Coding)?;
        if self.walk.is_ended() {
            Ok(())
        } else {
            Err(Unreadable::Json(InspectError::NotAnObject))
        }
    }
}

impl<'a> Item<'a> {
    /// The members of `params` that were kept, in order, repeated ones too.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.members.fields(self.text)
    }

    /// What they say of the request.
    pub(crate) fn asked(&self) -> Asked<'a> {
        Asked::of(self.fields())
    }
}

#[cfg(test)]
mod tests;
