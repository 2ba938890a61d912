//! What is known of a key, and of whom it belongs to.
//!
//! There may be a million keys of one project: what they have in common is in memory once.

use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, OrgId, ProjectId, Timestamp, UserId};
use ipnet::IpNet;

use crate::upstream::Target;

/// What the data plane knows of a key. What it knows of the key's tenant reads as if it were the key's own.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord {
    /// What it is found by.
    pub hash: KeyHash,
    /// `api_keys.id`
    pub id: ApiKeyId,
    /// Who made it.
    pub user_id: Option<UserId>,
    /// Live or test.
    pub kind: KeyKind,
    /// As the table says; expiry by the clock comes on top.
    pub status: KeyStatus,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// From where it may be used; without a list, or with an empty one, from anywhere.
    pub allowed_ips: AllowedIps,
    /// What it may do.
    pub scopes: Scopes,
    /// Whose it is.
    pub tenant: Arc<Tenant>,
}

/// What all keys of a kind have in common within a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Their project.
    pub project_id: ProjectId,
    /// Its organization.
    pub org_id: OrgId,
    /// `organizations.slug`
    pub org_slug: Box<str>,
    /// Whether both are in service.
    pub state: TenantState,
    /// Who answers.
    pub target: Arc<Target>,
    /// Whether the upstream key there is the organization's own, and all that it reaches.
    pub own_upstream_key: bool,
    /// What the project wants done; the gateway's setting otherwise.
    pub on_client_disconnect: Option<OnClientDisconnect>,
}

impl Deref for KeyRecord {
    type Target = Tenant;

    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

/// What becomes of an answer whose caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClientDisconnect {
    /// The upstream is told by a closed connection; what it had done until then is estimated.
    Cancel,
    /// It is read to its end, for the sake of its figures.
    Drain,
}

/// Neither `cancel` nor `drain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be cancel or drain")]
pub struct UnknownReaction;

impl FromStr for OnClientDisconnect {
    type Err = UnknownReaction;

    fn from_str(text: &str) -> Result<Self, UnknownReaction> {
        match text {
            "cancel" => Ok(Self::Cancel),
            "drain" => Ok(Self::Drain),
            _ => Err(UnknownReaction),
        }
    }
}

/// `api_keys.allowed_ips`
#[derive(Debug, Clone, PartialEq)]
pub enum AllowedIps {
    /// No list.
    Any,
    /// Only from these. An empty list comes from one of which nothing could be understood.
    Only(Box<[IpNet]>),
}

/// `api_keys.status`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Usable.
    Active,
    /// Withdrawn.
    Revoked,
    /// Past its end.
    Expired,
}

/// `api_keys.scopes`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// GET and HEAD.
    pub read: bool,
    /// Everything else.
    pub write: bool,
}

/// Whether a key's project and organization are in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantState {
    /// Both are.
    Active,
    /// The project is paused, archived or deleted.
    ProjectInactive,
    /// The organization is suspended, pending or deleted.
    OrganizationInactive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_records_are_128_megabytes() {
        // An allocation has the counts of the `Arc` in it as well. One byte more, and the allocator takes 160.
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<KeyRecord>() + counts <= 128);
    }
}
