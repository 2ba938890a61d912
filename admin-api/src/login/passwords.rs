//! Passwords: hashed by argon2id, beside the runtime and few at a time, so that no flood of logins takes the processors or
//! the memory that others need.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use rand::Rng as _;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;

use super::secret::Secret;
use crate::error::{ApiError, Result};

/// At once; each takes a processor and [`MEMORY_KIB`] for some tens of milliseconds.
const AT_ONCE: usize = 2;
/// Waiting for their turn: a second's worth or so. Those beyond are told to come back.
const WAITING: usize = 30;
/// When there is room again, most likely.
const PATIENCE: Duration = Duration::from_secs(1);
/// What OWASP asks of argon2id. Those hashed with anything else are hashed anew when their user logs in.
const MEMORY_KIB: u32 = 19 * 1_024;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// None has more, and nobody has more hashed.
pub(super) const MOST_CHARACTERS: usize = 128;

/// Whether a password is right.
#[derive(PartialEq, Eq)]
pub(super) enum Verdict {
    Right {
        /// As it would be kept now, if it is kept otherwise.
        rehashed: Option<String>,
    },
    Wrong,
}

/// Hashes them, by turns.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        }
    }
}

impl Passwords {
    /// As it is kept.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String> {
        let password = normalized(&password.0);
        let hashed = self.run(move || hash(&password)).await?;
        hashed.ok_or_else(|| ApiError::broken("hashing a password"))
    }

    /// Compares it with what is kept. Where nothing is, it takes as long.
    pub(super) async fn verify(&self, password: &Secret, kept: Option<String>) -> Result<Verdict> {
        let password = normalized(&password.0);
        self.run(move || match kept {
            Some(kept) => verify(&password, &kept),
            None => {
                std::hint::black_box(hash(&password));
                Verdict::Wrong
            }
        })
        .await
    }

    /// Takes all places, until it is dropped.
    #[cfg(test)]
    pub(super) fn fill(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(AT_ONCE + WAITING).unwrap();
        Arc::clone(&self.places)
            .try_acquire_many_owned(all)
            .unwrap()
    }

    /// A turn once begun is given back when the work is done, also if nobody waits for it any more.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            ApiError::throttled("login_busy", "too many log in right now", PATIENCE)
        })?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        working
            .await
            .map_err(|_| ApiError::broken("hashing a password"))
    }
}

/// The same password, typed on another keyboard. What is too long to be one is cut: it stays too long.
pub(super) fn normalized(password: &str) -> String {
    password.nfkc().take(MOST_CHARACTERS + 1).collect()
}

/// How many characters it has, as it is hashed.
pub(super) fn length(password: &Secret) -> usize {
    normalized(&password.0).chars().count()
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Option<String> {
    let salt: [u8; SALT_BYTES] = rand::rng().random();
    let hashed = argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
    Some(hashed.ok()?.to_string())
}

fn verify(password: &str, kept: &str) -> Verdict {
    let Some((argon2, kept)) = argon2().zip(PasswordHash::new(kept).ok()) else {
        return Verdict::Wrong;
    };
    // By the parameters that it was hashed with.
    if argon2.verify_password(password.as_bytes(), &kept).is_err() {
        return Verdict::Wrong;
    }
    let rehashed = if is_up_to_date(&kept) {
        None
    } else {
        hash(password)
    };
    Verdict::Right { rehashed }
}

fn is_up_to_date(kept: &PasswordHash) -> bool {
    let is_argon2id = kept.algorithm.as_str() == Algorithm::Argon2id.as_str();
    let params = Params::try_from(kept).ok();
    let costs = params.map(|params| (params.m_cost(), params.t_cost(), params.p_cost()));
    is_argon2id && costs == Some((MEMORY_KIB, ROUNDS, LANES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_right_however_its_characters_were_put_together() {
        let passwords = Passwords::default();
        let kept = passwords
            .hash(&secret("caf\u{e9} cr\u{e8}me, twice"))
            .await
            .unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        let right = Verdict::Right { rehashed: None };
        for (typed, expected) in [
            ("caf\u{e9} cr\u{e8}me, twice", &right),
            ("cafe\u{301} cre\u{300}me, twice", &right),
            ("cafe creme, twice", &Verdict::Wrong),
            ("", &Verdict::Wrong),
        ] {
            let verdict = passwords.verify(&secret(typed), Some(kept.clone())).await;
            assert!(verdict.unwrap() == *expected, "{typed}");
        }
        for kept in [
            None,
            Some("rubbish".to_owned()),
            Some("$argon2id$v=19$m=8,t=0,p=1$AA$AA".to_owned()),
        ] {
            assert!(passwords.verify(&secret("x"), kept).await.unwrap() == Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn what_was_hashed_otherwise_is_hashed_anew() {
        let params = Params::new(64, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let weak = weak
            .hash_password_with_salt(b"the password", &[7; 16])
            .unwrap();
        let (passwords, typed) = (Passwords::default(), secret("the password"));
        let verdict = passwords.verify(&typed, Some(weak.to_string()));
        let Verdict::Right {
            rehashed: Some(rehashed),
        } = verdict.await.unwrap()
        else {
            panic!("right, and to be kept otherwise");
        };
        assert!(verify("the password", &rehashed) == Verdict::Right { rehashed: None });
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_taken_for_what_it_begins_with() {
        let passwords = Passwords::default();
        let longest = "x".repeat(MOST_CHARACTERS);
        let kept = passwords.hash(&secret(&longest)).await.unwrap();
        let longer = secret(&format!("{longest}y"));
        assert_eq!(length(&longer), MOST_CHARACTERS + 1);
        assert!(passwords.verify(&longer, Some(kept)).await.unwrap() == Verdict::Wrong);
    }

    #[tokio::test]
    async fn those_beyond_the_places_are_told_to_come_back() {
        let passwords = Passwords::default();
        let all = passwords.fill();
        let refused = passwords.hash(&secret("x")).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        drop(all);
        assert!(passwords.hash(&secret("x")).await.is_ok());
    }
}
