//! Who asks: an admin key, bound to an organization and a role, or to the whole installation.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use domain::KeyHash;
use domain::key::ADMIN_KEY_PREFIX;
use http::header::AUTHORIZATION;
use http::request::Parts;
use ipnet::IpNet;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::idempotency::Once;
use crate::origin::Origin;
use crate::role::{Act, Role};
use crate::server::Shared;
use crate::transaction::Transaction;

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
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
        let known = Known::find(transaction.client(), &self.hash).await?;
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
        let credential = key(parts)?.to_vec();
        let key = KeyHash::of(&credential);
        let origin = Origin::of(parts, &shared.trusted_proxies);
        // Looked at again in the transaction of whatever is done: no lock is needed here.
        let connection = shared.pool.get().await?;
        let known = Known::find(&connection.client, &key).await?;
        drop(connection);
        known.check(origin.address)?;
        Ok(Self {
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

/// The key, in either of the two places.
fn key(parts: &Parts) -> Result<&[u8]> {
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
    let missing = "give an admin key in x-api-key, or as a bearer token";
    match (plain, bearer) {
        (Some(plain), Some(bearer)) if plain != bearer => Err(ApiError::unauthenticated(
            "key_ambiguous",
            "x-api-key and authorization differ",
        )),
        // Anything else can't be one, and costs no look into the database.
        (Some(key), _) | (None, Some(key)) if is_admin_key(key) => Ok(key),
        (Some(key), _) | (None, Some(key)) if !key.is_empty() => Err(ApiError::unauthenticated(
            "key_unknown",
            "there is no such admin key",
        )),
        _ => Err(ApiError::unauthenticated("key_missing", missing)),
    }
}

fn is_admin_key(key: &[u8]) -> bool {
    let rest = key.strip_prefix(ADMIN_KEY_PREFIX.as_bytes());
    rest.is_some_and(|rest| rest.len() <= 64 && rest.iter().all(u8::is_ascii_alphanumeric))
}

/// An admin key as it is stored.
struct Known {
    id: Uuid,
    name: String,
    user_id: Option<Uuid>,
    org_id: Option<Uuid>,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
    status: String,
    is_over: bool,
    org_is_active: bool,
    user_is_active: bool,
    allowed_ips: Vec<String>,
}

impl Known {
    async fn find(client: &Client, key: &KeyHash) -> Result<Self> {
        // Bookkeeping is written once a minute at most.
        let query = "WITH found AS (
                SELECT k.id, k.name, k.user_id, k.org_id, k.role, k.expires_at, k.status, k.allowed_ips::text[] AS allowed_ips,
                       coalesce(k.expires_at <= now(), false) AS is_over,
                       k.org_id IS NULL OR o.deleted_at IS NULL AND o.status = 'active' AS org_is_active,
                       k.user_id IS NULL OR u.deleted_at IS NULL AND u.status = 'active'
                           AND (k.org_id IS NULL OR m.status = 'active') IS TRUE AS user_is_active,
                       m.role AS member_role
                FROM admin_keys k LEFT JOIN organizations o ON o.id = k.org_id LEFT JOIN users u ON u.id = k.user_id
                    LEFT JOIN org_members m ON m.org_id = k.org_id AND m.user_id = k.user_id
                WHERE k.key_hash = $1
            ), used AS (
                UPDATE admin_keys SET last_used_at = now() FROM found
                WHERE admin_keys.id = found.id AND found.status = 'active'
                  AND coalesce(admin_keys.last_used_at, '-infinity') < now() - interval '1 minute'
            )
            SELECT * FROM found";
        let row = client.query_opt(query, &[&key.to_hex()]).await?;
        let row = row.ok_or_else(|| {
            ApiError::unauthenticated("key_unknown", "there is no such admin key")
        })?;
        // A person's key is worth no more than the person is.
        let roles: [Option<&str>; 2] = [row.try_get("role")?, row.try_get("member_role")?];
        let roles = roles.into_iter().flatten();
        let role = roles.map(|role| Role::parse(role).unwrap_or(Role::Viewer));
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            user_id: row.try_get("user_id")?,
            org_id: row.try_get("org_id")?,
            role: role.min().unwrap_or(Role::Viewer),
            expires_at: row.try_get("expires_at")?,
            status: row.try_get("status")?,
            is_over: row.try_get("is_over")?,
            org_is_active: row.try_get("org_is_active")?,
            user_is_active: row.try_get("user_is_active")?,
            allowed_ips: row
                .try_get::<_, Option<_>>("allowed_ips")?
                .unwrap_or_default(),
        })
    }

    fn check(&self, address: IpAddr) -> Result<()> {
        if self.is_over || self.status == "expired" {
            return Err(ApiError::unauthenticated(
                "key_expired",
                "the key has expired",
            ));
        }
        if self.status != "active" {
            return Err(ApiError::unauthenticated(
                "key_revoked",
                "the key was revoked",
            ));
        }
        if !self.org_is_active {
            return Err(ApiError::forbidden(
                "organization_inactive",
                "the organization is not active",
            ));
        }
        if !self.user_is_active {
            return Err(ApiError::forbidden(
                "user_inactive",
                "the key's user is not active",
            ));
        }
        let mut allowed = self.allowed_ips.iter().filter_map(|text| parse_net(text));
        if !self.allowed_ips.is_empty() && !allowed.any(|net| net.contains(&address)) {
            return Err(ApiError::forbidden(
                "ip_not_allowed",
                "the key is not for this address",
            ));
        }
        Ok(())
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
