//! Making keys: a prefix and 43 base62 characters, 256 bits of them random.

use domain::KeyHash;
use rand::Rng as _;

const RANDOM_CHARACTERS: usize = 43;

/// A key just made: the only moment its text exists here.
#[derive(Clone)]
pub struct NewKey {
    /// To be shown once.
    pub text: String,
    /// To be kept.
    pub hash: KeyHash,
}

impl NewKey {
    /// Makes one.
    #[must_use]
    pub fn generate(prefix: &str) -> Self {
        // ThreadRng is cryptographically secure and seeded by the operating system.
        let random = rand::rng()
            .sample_iter(rand::distr::Alphanumeric)
            .take(RANDOM_CHARACTERS)
            .map(char::from);
        let text: String = prefix.chars().chain(random).collect();
        Self {
            hash: KeyHash::of(text.as_bytes()),
            text,
        }
    }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_prefix_and_43_base62_characters() {
        let key = NewKey::generate("mw_sk_test_");
        let rest = key.text.strip_prefix("mw_sk_test_").unwrap();
        assert_eq!(rest.len(), 43);
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(key.text, NewKey::generate("mw_sk_test_").text);
    }
}
