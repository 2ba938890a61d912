//! Who asks: an admin key, bound to an organization and a role, or to the whole installation; or a user's session, bound to
//! an organization and to whatever role the user has there.

mod known;

use std::net::IpAddr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use chrono::{DateTime, Utc};
use domain::KeyHash;
use domain::key::{ADMIN_KEY_PREFIX, SESSION_PREFIX};
use http::header::AUTHORIZATION;
use http::request::Parts;
use ipnet::IpNet;
use uuid::Uuid;

use self::known::{Known, unknown};
use crate::error::{ApiError, Result};
use crate::idempotency::Once;
use crate::origin::Origin;
use crate::role::{Act, Role};
use crate::server::Shared;
use crate::transaction::Transaction;

/// What a caller sends to say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AdminKey,
    Session,
}

impl Kind {
    /// In the audit log's words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AdminKey => "admin_key",
            Self::Session => "session",
        }
    }
}

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) kind: Kind,
    /// The admin key's, or the session's.
    pub(crate) key_id: Uuid,
    pub(crate) key_name: String,
    hash: KeyHash,
    /// Whose key it is, where it is somebody's.
    pub(crate) user_id: Option<Uuid>,
    /// None: the whole installation.
    pub(crate) org_id: Option<Uuid>,
    pub(crate) role: Role,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) origin: Origin,
    /// If what it makes is to be made once.
    pub(crate) once: Option<Once>,
}

impl Caller {
    pub(crate) fn may(&self, act: Act) -> Result<()> {
        act.require(self.role, self.org_id.is_none())
    }

    /// The session, and whose it is. What is a person's own to decide takes one: others may have made keys in their name.
    pub(crate) fn session(&self) -> Result<(Uuid, Uuid)> {
        match (self.kind, self.user_id) {
            (Kind::Session, Some(user_id)) => Ok((self.key_id, user_id)),
            (Kind::Session | Kind::AdminKey, _) => Err(ApiError::forbidden(
                "session_required",
                "this is for users who have logged in: it takes a session",
            )),
        }
    }

    /// The organization of what is about to be made: the caller's own, or the one that is given.
    pub(crate) fn org_of_new(&self, given: Option<Uuid>) -> Result<Uuid> {
        match (self.org_id, given) {
            (Some(own), Some(other)) if own != other => Err(ApiError::not_found("organization")),
            (Some(own), _) => Ok(own),
            (None, Some(given)) => Ok(given),
            (None, None) => Err(ApiError::invalid(
                "org_id",
                "is required, since the caller is of no organization",
            )),
        }
    }

    /// Whether it may act for others of its organization.
    pub(crate) fn may_act_for(&self, user_id: Uuid) -> bool {
        self.org_id.is_none() || self.role >= Role::Admin || self.user_id == Some(user_id)
    }

    /// Who is said to have made something.
    pub(crate) fn creator(&self, path: &str, given: Option<Uuid>) -> Result<Uuid> {
        if given.is_some_and(|given| !self.may_act_for(given)) {
            return Err(ApiError::forbidden(
                "role_missing",
                "to act for others takes the role `admin`",
            ));
        }
        given.or(self.user_id).ok_or_else(|| {
            ApiError::invalid(path, "is required, since the caller's key is no user's")
        })
    }
}

impl Caller {
    /// Refuses if the key isn't good any more: what was sent may have taken its time.
    pub(crate) async fn check_again(&self, transaction: &Transaction) -> Result<()> {
        let known = Known::find(transaction.client(), self.kind, &self.hash).await?;
        known.check(self.origin.address)?;
        if known.role < self.role {
            return Err(ApiError::forbidden("role_missing", "the role has changed"));
        }
        Ok(())
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self> {
        let (kind, credential) = key(parts)?;
        let credential = credential.to_vec();
        let key = KeyHash::of(&credential);
        let origin = Origin::of(parts, &shared.trusted_proxies);
        // Looked at again in the transaction of whatever is done: no lock is needed here.
        let is_counted = shared.throttles.credential(&key, origin.address)?;
        let found = find(shared, kind, &key).await;
        let is_guess = matches!(&found, Err(error) if error.code() == known::UNKNOWN);
        if is_counted && !is_guess {
            shared.throttles.not_a_guess(origin.address);
        }
        let known = found?;
        shared.throttles.was_good(&key);
        known.check(origin.address)?;
        Ok(Self {
            kind,
            key_id: known.id,
            key_name: known.name,
            hash: key,
            user_id: known.user_id,
            org_id: known.org_id,
            role: known.role,
            expires_at: known.expires_at,
            origin,
            once: Once::read(parts, known.id, &credential)?,
        })
    }
}

/// For what takes none, but may have one.
impl OptionalFromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Option<Self>> {
        let headers = &parts.headers;
        if !headers.contains_key("x-api-key") && !headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let caller = <Self as FromRequestParts<Shared>>::from_request_parts(parts, shared);
        caller.await.map(Some)
    }
}

async fn find(shared: &Shared, kind: Kind, key: &KeyHash) -> Result<Known> {
    let connection = shared.pool.get().await?;
    Known::find_used(&connection.client, kind, key).await
}

/// The key or token, in either of the two places.
fn key(parts: &Parts) -> Result<(Kind, &[u8])> {
    let bearer = parts.headers.get(AUTHORIZATION).map(|value| {
        let value = value.as_bytes();
        let (scheme, rest) = value.split_at(value.len().min(7));
        if scheme.eq_ignore_ascii_case(b"bearer ") {
            rest.trim_ascii()
        } else {
            b""
        }
    });
    let mut given = parts.headers.get_all("x-api-key").iter();
    let plain = given.next().map(|value| value.as_bytes().trim_ascii());
    if given.any(|other| Some(other.as_bytes().trim_ascii()) != plain) {
        return Err(ApiError::unauthenticated(
            "key_ambiguous",
            "there are several x-api-key",
        ));
    }
    let missing = "give an admin key or a session's token in x-api-key, or as a bearer token";
    match (plain, bearer) {
        (Some(plain), Some(bearer)) if plain != bearer => Err(ApiError::unauthenticated(
            "key_ambiguous",
            "x-api-key and authorization differ",
        )),
        (Some(key), _) | (None, Some(key)) if !key.is_empty() => {
            // Anything else can't be one, and costs no look into the database.
            let kind = kind(key).ok_or_else(unknown)?;
            Ok((kind, key))
        }
        _ => Err(ApiError::unauthenticated("key_missing", missing)),
    }
}

/// What it looks like.
fn kind(key: &[u8]) -> Option<Kind> {
    let is = |prefix: &str| {
        let rest = key.strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| rest.len() <= 64 && rest.iter().all(u8::is_ascii_alphanumeric))
    };
    match (is(ADMIN_KEY_PREFIX), is(SESSION_PREFIX)) {
        (true, _) => Some(Kind::AdminKey),
        (false, true) => Some(Kind::Session),
        (false, false) => None,
    }
}

/// What the database writes of an `inet`: with or without a prefix.
fn parse_net(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse().map(|address: IpAddr| address.into()).ok())
}

/// The same for those who write it.
pub(crate) fn is_net(text: &str) -> bool {
    parse_net(text).is_some()
}
