//! `Idempotency-Key`: the same request sent again gets the same answer, and makes nothing twice.
//!
//! The key is remembered in the transaction of what it made, so there is neither without the other, however it ends. A second
//! request that comes meanwhile waits for the first at the unique index. What failed has made nothing and is not remembered.
//!
//! An answer may show a secret for the only time. It is kept sealed under a key derived from the caller's credential, of
//! which the database has no more than a hash: only who sends that credential again can have it opened.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use http::request::Parts;
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::sealing::{derive, open, seal};
use crate::transaction::Transaction;

const HEADER: &str = "idempotency-key";
const MOST_CHARACTERS: usize = 255;
const PURPOSE: &[u8] = b"mindweave idempotency-key answer v1";

/// Where the body's digest is left once it has been read.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyDigest(Arc<OnceLock<Vec<u8>>>);

impl BodyDigest {
    pub(crate) fn set(&self, body: &[u8]) {
        self.0.get_or_init(|| digest(&[body]));
    }
}

/// A request that is meant to be done once.
#[derive(Clone)]
pub(crate) struct Once {
    /// SHA-256 of who and which key.
    id: Vec<u8>,
    /// SHA-256 of method and path.
    target: Vec<u8>,
    body: BodyDigest,
    /// For the answer, and what the request is remembered by.
    sealing: [u8; 32],
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Once(…)")
    }
}

/// Whether it is the first time.
#[derive(Debug)]
pub(crate) enum Turn {
    First,
    /// What was answered then.
    Again(Vec<u8>),
}

impl Once {
    /// What the header asks for. `credential` is what the caller has sent, in plain.
    pub(crate) fn read(parts: &mut Parts, caller: Uuid, credential: &[u8]) -> Result<Option<Self>> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(key) = values.next() else {
            return Ok(None);
        };
        let key = key.as_bytes();
        let is_key =
            (1..=MOST_CHARACTERS).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        if !is_key || values.next().is_some() {
            let message =
                format!("must be given once, with 1 to {MOST_CHARACTERS} visible characters");
            return Err(ApiError::invalid(HEADER, message));
        }
        let body = BodyDigest::default();
        parts.extensions.insert(body.clone());
        let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
        Ok(Some(Self {
            id: digest(&[caller.as_bytes(), key]),
            target: digest(&[parts.method.as_str().as_bytes(), target.as_bytes()]),
            body,
            sealing: sealing_key(credential, key)
                .map_err(|_| ApiError::broken("deriving a key"))?,
        }))
    }

    /// Keyed: a body may have a password in it, and whoever reads the database could try passwords against a plain digest.
    fn request(&self) -> Vec<u8> {
        let body = self.body.0.get().map_or(&[][..], Vec::as_slice);
        mac(&self.sealing, &[&self.target, body])
    }

    /// Takes the turn, or tells what was answered to whoever had it.
    pub(crate) async fn begin(
        &self,
        transaction: &Transaction,
        org_id: Option<Uuid>,
    ) -> Result<Turn> {
        let request = self.request();
        // One whose time is over is as good as none, until it is removed.
        let claim = "INSERT INTO idempotency_keys AS k (id, org_id, request) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET request = excluded.request, answer = NULL, created_at = now()
            WHERE k.created_at < now() - interval '24 hours' RETURNING id";
        let claimed = transaction
            .maybe(claim, &[&self.id, &org_id, &request])
            .await?;
        if claimed.is_some() {
            return Ok(Turn::First);
        }
        let known = "SELECT request, answer FROM idempotency_keys WHERE id = $1";
        let known = transaction.maybe(known, &[&self.id]).await?;
        let known = known.ok_or_else(reused)?;
        let (then, sealed): (Vec<u8>, Option<Vec<u8>>) = (known.try_get(0)?, known.try_get(1)?);
        if then != request {
            return Err(reused());
        }
        let opened = sealed.and_then(|sealed| open(&self.sealing, &request, &sealed));
        opened.map(Turn::Again).ok_or_else(reused)
    }

    /// Keeps the answer.
    pub(crate) async fn keep(&self, transaction: &Transaction, answer: Vec<u8>) -> Result<()> {
        let sealed = seal(&self.sealing, &self.request(), answer);
        let sealed = sealed.map_err(|_| ApiError::broken("sealing an answer"))?;
        let sql = "UPDATE idempotency_keys SET answer = $2 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&self.id, &sealed]).await?;
        Ok(())
    }
}

fn reused() -> ApiError {
    ApiError::conflict(
        "idempotency_key_reused",
        "this Idempotency-Key was used for another request; take a new one",
    )
}

/// Of parts that can't be mistaken for others: each with its length.
fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// The same, which only who has the key can compare with anything.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, &digest(parts)).as_ref().to_vec()
}

fn sealing_key(credential: &[u8], key: &[u8]) -> Result<[u8; 32], Unspecified> {
    derive(PURPOSE, credential, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(credential: &[u8], body: &[u8]) -> Once {
        let digest_of_body = BodyDigest::default();
        digest_of_body.set(body);
        Once {
            id: digest(&[b"caller", b"k"]),
            target: digest(&[b"POST", b"/admin/v1/users"]),
            body: digest_of_body,
            sealing: sealing_key(credential, b"k").unwrap(),
        }
    }

    #[test]
    fn what_is_kept_of_a_request_tells_its_body_to_nobody_without_the_credential() {
        let (body, other) = (b"a password", b"another one");
        let kept = once(b"mw_ak_a", body).request();
        assert_eq!(once(b"mw_ak_a", body).request(), kept);
        assert_ne!(once(b"mw_ak_a", other).request(), kept);
        assert_ne!(once(b"mw_ak_b", body).request(), kept);
        let target = digest(&[b"POST", b"/admin/v1/users"]);
        assert_ne!(digest(&[&target, &digest(&[body])]), kept);
    }

    #[test]
    fn only_the_same_credential_key_and_request_open_an_answer() {
        let key = sealing_key(b"mw_ak_a", b"k").unwrap();
        let sealed = seal(&key, b"request", b"secret".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(open(&key, b"request", &sealed).unwrap(), b"secret");
        assert_eq!(open(&key, b"other", &sealed), None);
        assert_eq!(open(&key, b"request", b"short"), None);
        for (credential, name) in [(&b"mw_ak_b"[..], &b"k"[..]), (b"mw_ak_a", b"l")] {
            let other = sealing_key(credential, name).unwrap();
            assert_eq!(open(&other, b"request", &sealed), None);
        }
    }
}
