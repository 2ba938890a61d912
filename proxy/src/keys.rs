//! The index of keys: everything needed to know a caller, in memory, by the SHA-256 of the key.
//!
//! All keys are in it, refused ones too, so that an unknown key is known to be unknown without asking anybody.
//! Readers take no lock that a writer holds across anything but one map operation.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use domain::{ApiKeyId, KeyHash, KeyKind, OrgId, ProjectId, Timestamp, UserId};
use ipnet::IpNet;

use crate::upstream::Target;

/// What the data plane knows of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord {
    /// `api_keys.id`
    pub id: ApiKeyId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its project's organization.
    pub org_id: OrgId,
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
    /// Whether its project and organization are in service.
    pub tenant: TenantState,
    /// Who answers it.
    pub target: Arc<Target>,
    /// Whether the upstream key there is its organization's own, and all that it reaches.
    pub own_upstream_key: bool,
    /// What its project wants done; the gateway's setting otherwise.
    pub on_client_disconnect: Option<OnClientDisconnect>,
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
    Only(Vec<IpNet>),
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

/// Whether the key's project and organization are in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantState {
    /// Both are.
    Active,
    /// The project is paused, archived or deleted.
    ProjectInactive,
    /// The organization is suspended, pending or deleted.
    OrganizationInactive,
}

/// All keys by their hash.
#[derive(Debug, Default)]
pub struct KeyIndex {
    keys: DashMap<KeyHash, Arc<KeyRecord>>,
    complete: AtomicBool,
}

impl KeyIndex {
    /// Finds a key.
    #[must_use]
    pub fn get(&self, hash: &KeyHash) -> Option<Arc<KeyRecord>> {
        self.keys.get(hash).map(|entry| Arc::clone(entry.value()))
    }

    /// Keys in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Says that every key is in the index: from now on one that isn't does not exist.
    pub fn set_complete(&self) {
        // Release pairs with the Acquire of `is_complete`: who sees it also sees the keys.
        self.complete.store(true, Ordering::Release);
    }

    /// Whether every key is in the index.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Adds a key, or changes what is known of it. Running requests keep the record they have.
    pub fn insert(&self, hash: KeyHash, record: KeyRecord) {
        self.keys.insert(hash, Arc::new(record));
    }

    /// Forgets a key, unless its hash is meanwhile another key's.
    pub fn remove(&self, hash: &KeyHash, id: ApiKeyId) {
        self.keys.remove_if(hash, |_, record| record.id == id);
    }
}
