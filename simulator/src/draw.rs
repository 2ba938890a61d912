//! Deterministic chance: everything that varies is drawn from a hash of the seed and the request.
//!
//! The hash is SHA-256, so texts and ids stay the same across platforms and releases; the draws that follow
//! are splitmix64, which is far cheaper and random enough for prose.

use sha2::{Digest, Sha256};

/// A stream of draws that depends on nothing but the seed and the material it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64, material: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        for part in material {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 if there is none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// One of `items`; `None` only if there are none.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(items.len() as u64)).ok()?;
        items.get(index)
    }

    /// An id in the API's form: a tag and 24 letters and digits that start with `01`.
    pub(crate) fn id(&mut self, tag: &str) -> String {
        let mut id = String::with_capacity(tag.len() + 24);
        id.push_str(tag);
        id.push_str("01");
        self.push_letters(22, &mut id);
        id
    }

    /// Text that looks like base64, as signatures and encrypted contents do.
    pub(crate) fn opaque(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        self.push_letters(length, &mut text);
        text
    }

    fn push_letters(&mut self, count: usize, into: &mut String) {
        const LETTERS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letters = (0..count).filter_map(|_| self.pick(LETTERS).copied());
        into.extend(letters.map(char::from));
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn depends_on_the_seed_and_every_part() {
        let id = |seed, material: &[&[u8]]| Draw::new(seed, material).id("msg_");
        let first = id(1, &[b"ab", b"c"]);
        assert_eq!(first, id(1, &[b"ab", b"c"]));
        assert_ne!(first, id(2, &[b"ab", b"c"]));
        assert_ne!(first, id(1, &[b"a", b"bc"]));
        assert_eq!(first.len(), "msg_".len() + 24);
    }

    #[test]
    fn stays_the_same_across_releases() {
        assert_eq!(
            Draw::new(0, &[b"{}"]).id("msg_"),
            "msg_01xvWjtOzzjjmULl8c51deSJ"
        );
    }
}
