//! What is kept in the database and may not be read there: sealed (AES-256-GCM) under a key that the database doesn't have.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

const NONCE_BYTES: usize = 12;

/// A key for one purpose, of a secret and what else tells it from others.
pub(crate) fn derive(purpose: &[u8], secret: &[u8], info: &[u8]) -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, purpose).extract(secret);
    extracted.expand(&[info], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

/// The nonce, then what is sealed, then its tag. It opens only for the same `bound`.
pub(crate) fn seal(
    key: &[u8; 32],
    bound: &[u8],
    mut open: Vec<u8>,
) -> Result<Vec<u8>, Unspecified> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key)?;
    let nonce = key.seal_in_place_append_tag(Aad::from(bound), &mut open)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut open);
    Ok(sealed)
}

pub(crate) fn open(key: &[u8; 32], bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let mut sealed = sealed.to_vec();
    let opened = key
        .open_in_place(nonce, Aad::from(bound), &mut sealed)
        .ok()?;
    Some(opened.to_vec())
}
