//! A piece of JSON kept until it is whole, within bounds.

/// Larger values are not kept: a usage object has about one kilobyte.
const LIMIT: usize = 64 * 1024;

/// The bytes of one value that came in earlier pieces.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Kept {
    /// Forgets the last value, but not its room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.too_large = false;
    }

    /// Keeps a piece that is not the last one.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.too_large |= piece.len() > LIMIT - self.bytes.len();
        if !self.too_large {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// The whole value, given its last piece; `None` if it was too large. A value that came in one piece
    /// is never copied.
    pub(super) fn whole<'a>(&'a mut self, last: &'a [u8]) -> Option<&'a [u8]> {
        if self.bytes.is_empty() && !self.too_large {
            return Some(last).filter(|value| value.len() <= LIMIT);
        }
        self.push(last);
        (!self.too_large).then_some(&self.bytes)
    }
}
