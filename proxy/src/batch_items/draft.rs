//! An item as far as it has come: what is kept of it is an object by itself, written anew without what is too long.

use std::borrow::Cow;

use simdutf8::basic::from_utf8;

use super::Item;
use crate::inspect::{InspectError, MOST_MEMBERS, Members, unquoted};
use crate::text::Checked;

/// Of a member's value that is kept whatever else there is.
pub(super) const SHORT: usize = 64 << 10;
/// Of what is kept, for longer values to be among it.
pub(super) const MOST_WITH_LONG: usize = 1 << 20;
/// Of what is kept, but for names.
pub(super) const MOST: usize = 2 << 20;
/// The API takes 64 characters.
const MOST_OF_A_CUSTOM_ID: usize = 1 << 10;

/// Its buffers are used again for the next item.
#[derive(Debug, Default)]
pub(super) struct Draft {
    custom_id: Vec<u8>,
    params_bytes: u64,
    /// An object that lacks its last bracket.
    text: Vec<u8>,
    members: usize,
    long: Vec<String>,
    /// Where the last member begins in `text`, and its value's size so far, unless it is too long.
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    start: usize,
    bytes: usize,
}

impl Draft {
    pub(super) fn begin(&mut self) {
        self.begin_custom_id();
        self.begin_params();
    }

    /// Forgets an earlier one: the last counts.
    pub(super) fn begin_custom_id(&mut self) {
        self.custom_id.clear();
    }

    pub(super) fn push_custom_id(&mut self, piece: &[u8]) {
        // One byte too many says that it is too long.
        let room = (MOST_OF_A_CUSTOM_ID + 1).saturating_sub(self.custom_id.len());
        let piece = piece.get(..room).unwrap_or(piece);
        self.custom_id.extend_from_slice(piece);
    }

    /// Forgets earlier ones: the last count.
    pub(super) fn begin_params(&mut self) {
        self.text.clear();
        self.text.push(b'{');
        self.params_bytes = 0;
        self.members = 0;
        self.long.clear();
        self.last = None;
    }

    pub(super) fn count_params(&mut self, bytes: usize) {
        self.params_bytes += bytes as u64;
    }

    pub(super) fn begin_member(&mut self, name: &[u8]) -> Result<(), InspectError> {
        self.members += 1;
        if self.members > MOST_MEMBERS {
            return Err(InspectError::TooManyMembers);
        }
        let start = self.text.len();
        if start > 1 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(name);
        self.text.push(b':');
        self.last = Some(Last { start, bytes: 0 });
        Ok(())
    }

    /// Keeps a piece of the last member's value, or nothing of the member if it is too long.
    pub(super) fn push_value(&mut self, piece: &[u8]) {
        let Some(last) = &mut self.last else { return };
        last.bytes += piece.len();
        let most = if last.bytes <= SHORT {
            MOST
        } else {
            MOST_WITH_LONG
        };
        if self.text.len() + piece.len() <= most {
            self.text.extend_from_slice(piece);
        } else {
            self.text.truncate(last.start);
            self.last = None;
        }
    }

    pub(super) fn end_member(&mut self, name: &[u8]) -> Result<(), InspectError> {
        if self.last.is_none() {
            self.long.push(text_of(name)?.into_owned());
        }
        Ok(())
    }

    /// The item, at its end.
    pub(super) fn finish(&mut self) -> Result<Item<'_>, InspectError> {
        self.text.push(b'}');
        let text = from_utf8(&self.text).map_err(|_| InspectError::NotAnObject)?;
        let is_short = self.custom_id.len() <= MOST_OF_A_CUSTOM_ID;
        Ok(Item {
            custom_id: text_of(&self.custom_id).ok().filter(|_| is_short),
            params_bytes: self.params_bytes,
            long: &self.long,
            text,
            members: Members::of(Checked::of(text))?,
        })
    }
}

/// The text of a JSON string.
pub(super) fn text_of(json: &[u8]) -> Result<Cow<'_, str>, InspectError> {
    let json = from_utf8(json).map_err(|_| InspectError::NotAnObject)?;
    unquoted(json).ok_or(InspectError::NotAnObject)
}
