//! API keys as the gateway knows them: by kind and by SHA-256, never by their text.

use std::fmt;

use sha2::{Digest, Sha256};

/// What a key is for; told by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `mw_sk_live_`: answered by the Claude API.
    Live,
    /// `mw_sk_test_`: answered by the simulator, stored at no cost.
    Test,
}

impl KeyKind {
    /// The prefix as stored in `api_keys.key_prefix`.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Live => "mw_sk_live_",
            Self::Test => "mw_sk_test_",
        }
    }

    /// The kind that a stored prefix stands for.
    #[must_use]
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        [Self::Live, Self::Test]
            .into_iter()
            .find(|kind| kind.prefix() == prefix)
    }
}

/// The prefix of a key for the admin API.
pub const ADMIN_KEY_PREFIX: &str = "mw_ak_";

/// The prefix of the token of a session of the admin API.
pub const SESSION_PREFIX: &str = "mw_as_";

/// SHA-256 of a whole key: all that is stored of it, and what the index is searched by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a key as the caller sent it.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads the 64 lower-case hex digits of `api_keys.key_hash`.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = match pair {
                [high, low] => nibble(*high)? << 4 | nibble(*low)?,
                _ => return None,
            };
        }
        Some(Self(hash))
    }

    /// The 64 lower-case hex digits of `api_keys.key_hash`.
    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing to a String can't fail.
                let _ignored = write!(text, "{byte:02x}");
                text
            })
    }
}

/// The first digits only: enough to compare two lines of a log, useless to anybody else.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "KeyHash({a:02x}{b:02x}{c:02x}…)")
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_is_sha_256_in_lower_case_hex() {
        let hash = KeyHash::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(KeyHash::from_hex(hex), Some(hash));
    }

    #[test]
    fn what_is_not_64_lower_case_hex_digits_is_no_hash() {
        let hex = KeyHash::of(b"abc").to_hex();
        for wrong in [
            "",
            "ba78",
            &hex.to_uppercase(),
            &format!("{hex}0"),
            &hex.replace('b', "g"),
        ] {
            assert_eq!(KeyHash::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn prefixes_tell_the_kind() {
        for kind in [KeyKind::Live, KeyKind::Test] {
            assert_eq!(KeyKind::from_prefix(kind.prefix()), Some(kind));
        }
        assert_eq!(KeyKind::from_prefix("sk-ant-"), None);
    }
}
