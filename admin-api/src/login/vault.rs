//! The secrets of second factors, as they are kept.
//!
//! With a key in the configuration they are sealed, each for its user, and who reads the database makes no one-time passwords.
//! Without one they are plain: the server has to know them, and there is nothing else that the database doesn't have too.

use data_encoding::BASE64;
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::sealing;

const PURPOSE: &[u8] = b"mindweave mfa secret v1";
const PLAIN: &str = "plain:";
const SEALED: &str = "sealed:";

/// Keeps them.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    key: Option<[u8; 32]>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Under a key that is made of this secret.
    pub(crate) fn new(secret: &str) -> Self {
        Self {
            key: sealing::derive(PURPOSE, secret.as_bytes(), b"").ok(),
        }
    }

    /// As it is written to the database.
    pub(super) fn lock(&self, user_id: Uuid, secret: &[u8]) -> Result<String> {
        let Some(key) = &self.key else {
            return Ok(format!("{PLAIN}{}", BASE64.encode(secret)));
        };
        let sealed = sealing::seal(key, user_id.as_bytes(), secret.to_vec());
        let sealed = sealed.map_err(|_| ApiError::broken("sealing a second factor"))?;
        Ok(format!("{SEALED}{}", BASE64.encode(&sealed)))
    }

    /// As it was given. What can't be opened lets nobody in.
    pub(super) fn unlock(&self, user_id: Uuid, kept: &str) -> Result<Vec<u8>> {
        let decoded = |text: &str| BASE64.decode(text.as_bytes()).ok();
        let secret = if let Some(plain) = kept.strip_prefix(PLAIN) {
            decoded(plain)
        } else {
            let sealed = kept.strip_prefix(SEALED).and_then(decoded);
            let key = self.key.as_ref();
            key.zip(sealed)
                .and_then(|(key, sealed)| sealing::open(key, user_id.as_bytes(), &sealed))
        };
        secret.ok_or_else(|| {
            ApiError::broken("opening a second factor: is admin.mfa_key what it was?")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Uuid = Uuid::from_u128(1);
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn what_is_sealed_opens_for_its_user_under_its_key_alone() {
        let vault = Vault::new("one");
        let kept = vault.lock(USER, SECRET).unwrap();
        assert!(kept.len() < 255 && !kept.contains(&BASE64.encode(SECRET)));
        assert_eq!(vault.unlock(USER, &kept).unwrap(), SECRET);
        assert!(vault.unlock(Uuid::from_u128(2), &kept).is_err());
        assert!(Vault::new("two").unlock(USER, &kept).is_err());
        assert!(Vault::default().unlock(USER, &kept).is_err());
    }

    #[test]
    fn what_was_plain_stays_good_when_there_is_a_key() {
        let kept = Vault::default().lock(USER, SECRET).unwrap();
        for vault in [Vault::default(), Vault::new("one")] {
            assert_eq!(vault.unlock(USER, &kept).unwrap(), SECRET);
            assert!(vault.unlock(USER, "rubbish").is_err());
        }
    }
}
