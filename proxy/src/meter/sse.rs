//! Server-sent events, taken apart in bytes that are cut anywhere.
//!
//! Guarantees: lines end with LF, CR LF or CR; a byte order mark, comments and unknown fields are passed
//! over; the data of an event is handed on as it comes and never collected. Framing is as the HTML
//! standard has it, but for the content of `data`, which is left to the caller.

use memchr::{memchr2, memchr3};

/// The progress through a stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    place: Place,
    /// The last line ended with a CR, so that an LF now belongs to it.
    after_cr: bool,
    /// The name of the field whose line this is; the first one may begin with a byte order mark.
    field: Word,
    name: Word,
    /// The event has data.
    has_data: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Field,
    /// Behind the colon, where one space doesn't count.
    Space(Value),
    In(Value),
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Name,
    Data,
    /// Of a comment or another field.
    Other,
}

/// What comes next in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// More of the current event's data.
    Data(&'a [u8]),
    /// The blank line that ends an event with data, and the event's name.
    End(Word),
}

impl Events {
    /// The next piece of `bytes`, which moves on behind it; `None` when they are used up.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        loop {
            let (first, behind_first) = bytes.split_first()?;
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                *bytes = behind_first;
                continue;
            }
            let piece = match self.place {
                Place::Field => self.in_field(bytes),
                Place::Space(value) => {
                    if *first == b' ' {
                        *bytes = behind_first;
                    }
                    self.begin_value(value)
                }
                Place::In(value) => self.in_value(value, bytes),
            };
            if piece.is_some() {
                return piece;
            }
        }
    }

    fn in_field<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let end = memchr3(b':', b'\n', b'\r', bytes);
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len()))?;
        self.field.push(part);
        *bytes = rest;
        let (stop, behind_stop) = rest.split_first()?;
        let word = std::mem::take(&mut self.field);
        let field = word.get();
        let field = field.map(|name| name.strip_prefix(BYTE_ORDER_MARK).unwrap_or(name));
        *bytes = behind_stop;
        if *stop == b':' {
            self.place = Place::Space(match field {
                Some(b"data") => Value::Data,
                Some(b"event") => Value::Name,
                _ => Value::Other,
            });
            return None;
        }
        self.after_cr = *stop == b'\r';
        match field {
            Some(b"") => self.end_event(),
            _ => None,
        }
    }

    fn end_event<'a>(&mut self) -> Option<Piece<'a>> {
        let name = std::mem::take(&mut self.name);
        std::mem::take(&mut self.has_data).then_some(Piece::End(name))
    }

    fn begin_value<'a>(&mut self, value: Value) -> Option<Piece<'a>> {
        self.place = Place::In(value);
        if matches!(value, Value::Name) {
            self.name = Word::default();
        }
        // The lines of one event's data are joined.
        (matches!(value, Value::Data) && self.has_data).then_some(Piece::Data(b"\n"))
    }

    fn in_value<'a>(&mut self, value: Value, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let end = memchr2(b'\n', b'\r', bytes);
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len()))?;
        *bytes = rest;
        if let Some((stop, behind_stop)) = rest.split_first() {
            *bytes = behind_stop;
            self.after_cr = *stop == b'\r';
            self.place = Place::Field;
        }
        match value {
            Value::Data if !part.is_empty() => {
                self.has_data = true;
                return Some(Piece::Data(part));
            }
            Value::Name => self.name.push(part),
            Value::Data | Value::Other => {}
        }
        None
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A name of a few bytes; a longer one is none of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Word {
    bytes: [u8; 32],
    /// Of the whole name, even where it doesn't fit.
    len: usize,
}

impl Word {
    fn push(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(part);
        }
        self.len = end;
    }

    /// The name, unless it is too long.
    pub(super) fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }
}
