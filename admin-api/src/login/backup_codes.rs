//! Backup codes: for whoever has lost what makes their one-time passwords.
//!
//! Each has 80 random bits, so its SHA-256 is as good as a slow hash: there is nothing to guess.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use domain::KeyHash;
use rand::Rng as _;
use uuid::Uuid;

const CODES: usize = 10;
const BYTES: usize = 10;
const CHARACTERS: usize = 16;

/// Codes just made: to be shown once, and what is kept of them.
pub(super) struct BackupCodes {
    pub(super) texts: Vec<String>,
    pub(super) hashes: Vec<String>,
}

impl BackupCodes {
    pub(super) fn generate(user_id: Uuid) -> Self {
        let texts: Vec<_> = (0..CODES).map(|_| text()).collect();
        let hashes = texts.iter().filter_map(|text| hash(user_id, text));
        Self {
            hashes: hashes.collect(),
            texts,
        }
    }
}

/// `abcd-efgh-ijkl-mnop`
fn text() -> String {
    let random: [u8; BYTES] = rand::rng().random();
    let text = BASE32_NOPAD.encode(&random).to_lowercase();
    let mut shown = String::with_capacity(CHARACTERS + CHARACTERS / 4);
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            shown.push('-');
        }
        shown.push(character);
    }
    shown
}

/// What is kept of a code, however it was typed; none of what can't be one.
pub(super) fn hash(user_id: Uuid, typed: &str) -> Option<String> {
    let is_between = |character: &char| !matches!(character, '-' | ' ');
    let plain = typed.chars().filter(is_between).take(CHARACTERS + 1);
    let plain: String = plain.map(|it| it.to_ascii_lowercase()).collect();
    if plain.len() != CHARACTERS {
        return None;
    }
    let KeyHash(hash) = KeyHash::of(&[user_id.as_bytes(), plain.as_bytes()].concat());
    Some(HEXLOWER.encode(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_codes_that_are_known_however_they_are_typed_by_whom_they_are_for() {
        let user = Uuid::from_u128(1);
        let codes = BackupCodes::generate(user);
        assert_eq!((codes.texts.len(), codes.hashes.len()), (CODES, CODES));
        for (text, kept) in codes.texts.iter().zip(&codes.hashes) {
            for typed in [text.clone(), text.to_uppercase(), text.replace('-', " ")] {
                assert_eq!(hash(user, &typed).as_ref(), Some(kept), "{typed}");
            }
            assert_ne!(hash(Uuid::from_u128(2), text).as_ref(), Some(kept));
        }
        for wrong in ["", "abcd", "123456", &"a".repeat(17)] {
            assert_eq!(hash(user, wrong), None, "{wrong}");
        }
    }
}
