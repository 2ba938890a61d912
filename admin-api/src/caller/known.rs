//! A credential as it is stored, and whether it is good.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use domain::KeyHash;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Kind, parse_net};
use crate::error::{ApiError, Result};
use crate::role::Role;

pub(super) const UNKNOWN: &str = "key_unknown";

/// What is stored of one, and of all that it depends on.
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) org_id: Option<Uuid>,
    pub(super) role: Role,
    pub(super) expires_at: Option<DateTime<Utc>>,
    kind: Kind,
    status: String,
    is_over: bool,
    org_is_active: bool,
    user_is_active: bool,
    allowed_ips: Vec<String>,
}

const ADMIN_KEY: &str = "SELECT k.id, k.name, k.user_id, k.org_id, k.role, k.expires_at, k.status,
        k.allowed_ips::text[] AS allowed_ips, coalesce(k.expires_at <= now(), false) AS is_over,
        k.org_id IS NULL OR o.deleted_at IS NULL AND o.status = 'active' AS org_is_active,
        k.user_id IS NULL OR u.deleted_at IS NULL AND u.status = 'active'
            AND (k.org_id IS NULL OR m.status = 'active') IS TRUE AS user_is_active,
        m.role AS member_role
    FROM admin_keys k LEFT JOIN organizations o ON o.id = k.org_id LEFT JOIN users u ON u.id = k.user_id
        LEFT JOIN org_members m ON m.org_id = k.org_id AND m.user_id = k.user_id
    WHERE k.key_hash = $1";

/// It goes with its membership, and has whatever role that has.
const SESSION: &str = "SELECT s.id, 'session'::text AS name, s.user_id, s.org_id, m.role, 'active'::text AS status,
        least(s.expires_at, s.last_used_at + interval '1 hour') AS expires_at,
        NULL::text[] AS allowed_ips, least(s.expires_at, s.last_used_at + interval '1 hour') <= now() AS is_over,
        o.deleted_at IS NULL AND o.status = 'active' AS org_is_active,
        u.deleted_at IS NULL AND u.status = 'active' AND m.status = 'active' AS user_is_active,
        m.role AS member_role
    FROM sessions s JOIN organizations o ON o.id = s.org_id JOIN users u ON u.id = s.user_id
        JOIN org_members m ON m.org_id = s.org_id AND m.user_id = s.user_id
    WHERE s.token_hash = $1";

impl Known {
    /// Finds one, and writes down that it was used: once a minute at most, by this statement alone, and not if somebody else
    /// has locked it. In a transaction that goes on, it and whoever removes the key's owner would wait for each other.
    pub(super) async fn find_used(client: &Client, kind: Kind, key: &KeyHash) -> Result<Self> {
        let (query, table) = match kind {
            Kind::AdminKey => (ADMIN_KEY, "admin_keys"),
            Kind::Session => (SESSION, "sessions"),
        };
        let query = format!(
            "WITH found AS ({query}), used AS (
                UPDATE {table} SET last_used_at = now() WHERE id IN (
                    SELECT t.id FROM {table} t JOIN found ON found.id = t.id
                    WHERE found.status = 'active' AND NOT found.is_over
                      AND coalesce(t.last_used_at, '-infinity') < now() - interval '1 minute'
                    FOR NO KEY UPDATE OF t SKIP LOCKED
                )
            )
            SELECT * FROM found"
        );
        Self::query(client, kind, &query, key).await
    }

    /// Finds one and changes nothing.
    pub(super) async fn find(client: &Client, kind: Kind, key: &KeyHash) -> Result<Self> {
        let query = match kind {
            Kind::AdminKey => ADMIN_KEY,
            Kind::Session => SESSION,
        };
        Self::query(client, kind, query, key).await
    }

    async fn query(client: &Client, kind: Kind, query: &str, key: &KeyHash) -> Result<Self> {
        let row = client.query_opt(query, &[&key.to_hex()]).await?;
        Self::read(kind, &row.ok_or_else(unknown)?)
    }

    fn read(kind: Kind, row: &Row) -> Result<Self> {
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
            kind,
            status: row.try_get("status")?,
            is_over: row.try_get("is_over")?,
            org_is_active: row.try_get("org_is_active")?,
            user_is_active: row.try_get("user_is_active")?,
            allowed_ips: row
                .try_get::<_, Option<_>>("allowed_ips")?
                .unwrap_or_default(),
        })
    }

    pub(super) fn check(&self, address: IpAddr) -> Result<()> {
        if self.is_over || self.status == "expired" {
            return Err(match self.kind {
                Kind::AdminKey => ApiError::unauthenticated("key_expired", "the key has expired"),
                Kind::Session => {
                    ApiError::unauthenticated("session_expired", "the session is over: log in")
                }
            });
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

pub(super) fn unknown() -> ApiError {
    ApiError::unauthenticated(UNKNOWN, "there is no such admin key or session")
}
