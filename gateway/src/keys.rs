//! Making keys: a prefix and 43 base62 characters, 256 bits of them random.

use domain::KeyHash;
use rand::Rng as _;

const RANDOM_CHARACTERS: usize = 43;

/// A key just made: the only moment its text exists here.
pub(crate) struct NewKey {
    pub(crate) text: String,
    pub(crate) hash: KeyHash,
}

impl NewKey {
    pub(crate) fn generate(prefix: &str) -> Self {
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
