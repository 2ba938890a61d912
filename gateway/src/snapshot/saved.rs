//! What is kept on disk of what is in memory, field by field.
//!
//! Guarantees: no text of a key, only its SHA-256; no key of an upstream. Who answers a key is decided by the configuration that
//! is in force when it is read. The words here, and those of [`OrgSource`] and [`ProjectSource`], are those of the file: changing
//! one takes a new version of its format.

mod hex;
mod objects;

use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, McpServerId, OrgId, ProjectId, Timestamp, UserId};
use ipnet::IpNet;
use policy_engine::{OrgSource, ProjectSource};
use proxy::{
    AllowedIps, KeyRecord, KeyStatus, McpServers, OnClientDisconnect, Scopes, TenantState,
    UpstreamObjects,
};
use serde::{Deserialize, Serialize};

use super::load::{Loaded, Targets};
use super::memory::{Contents, HeldKey};

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// Whose state this is.
    pub(super) database: String,
    /// When it was last known to be that.
    verified_unix_micros: i64,
    pub(super) keys: Vec<SavedKey>,
    pub(super) organizations: Vec<SavedOrganization>,
    mcp_servers: Vec<SavedServer>,
    #[serde(with = "objects")]
    pub(super) objects: Arc<UpstreamObjects>,
}

/// An organization's rules, as they came from the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedOrganization {
    pub(super) org: Arc<OrgSource>,
    /// In the order of their ids.
    pub(super) projects: Vec<Arc<ProjectSource>>,
}

/// A key, refused ones too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedKey {
    id: ApiKeyId,
    project_id: ProjectId,
    org_id: OrgId,
    org_slug: String,
    user_id: Option<UserId>,
    #[serde(with = "hex")]
    hash: KeyHash,
    #[serde(with = "Kind")]
    kind: KeyKind,
    #[serde(with = "Status")]
    status: KeyStatus,
    expires_unix_micros: Option<i64>,
    /// `null`: from anywhere. An empty list: from nowhere.
    allowed_ips: Option<Vec<IpNet>>,
    may_read: bool,
    may_write: bool,
    #[serde(with = "Tenant")]
    tenant: TenantState,
    on_client_disconnect: Option<Reaction>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedServer {
    project_id: ProjectId,
    id: McpServerId,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyKind", rename_all = "snake_case")]
enum Kind {
    Live,
    Test,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyStatus", rename_all = "snake_case")]
enum Status {
    Active,
    Revoked,
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TenantState", rename_all = "snake_case")]
enum Tenant {
    Active,
    ProjectInactive,
    OrganizationInactive,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reaction {
    Cancel,
    Drain,
}

impl Saved {
    pub(super) fn new(database: String, verified_at: Timestamp, contents: &Contents) -> Self {
        let server = |(project_id, id, name): (_, _, &str)| SavedServer {
            project_id,
            id,
            name: name.to_owned(),
        };
        Self {
            database,
            verified_unix_micros: verified_at.unix_micros,
            keys: contents.keys.iter().map(SavedKey::of).collect(),
            organizations: contents.organizations.clone(),
            mcp_servers: contents.mcp_servers.iter().map(server).collect(),
            objects: Arc::clone(&contents.objects),
        }
    }

    pub(super) fn verified_at(&self) -> Timestamp {
        Timestamp {
            unix_micros: self.verified_unix_micros,
        }
    }

    pub(super) fn mcp_servers(&self) -> McpServers {
        let mut servers = McpServers::default();
        for server in &self.mcp_servers {
            servers.add(server.project_id, server.id, &server.name);
        }
        servers
    }
}

impl SavedKey {
    fn of(held: &HeldKey) -> Self {
        let HeldKey {
            hash,
            org_slug,
            record,
        } = held;
        // All fields are named, so that a new one isn't forgotten here.
        let KeyRecord {
            id,
            project_id,
            org_id,
            user_id,
            kind,
            status,
            expires_at,
            allowed_ips,
            scopes,
            tenant,
            target: _,
            own_upstream_key: _,
            on_client_disconnect,
        } = record.as_ref();
        Self {
            id: *id,
            project_id: *project_id,
            org_id: *org_id,
            org_slug: org_slug.to_string(),
            user_id: *user_id,
            hash: *hash,
            kind: *kind,
            status: *status,
            expires_unix_micros: expires_at.map(|end| end.unix_micros),
            allowed_ips: match allowed_ips {
                AllowedIps::Any => None,
                AllowedIps::Only(networks) => Some(networks.clone()),
            },
            may_read: scopes.read,
            may_write: scopes.write,
            tenant: *tenant,
            on_client_disconnect: on_client_disconnect.map(Reaction::of),
        }
    }

    /// As if it came from the database; nothing is known of its row.
    pub(super) fn into_loaded(self, targets: &Targets) -> Loaded {
        let (target, own_upstream_key) = targets.of(self.kind, &self.org_slug);
        let expires_at = self.expires_unix_micros;
        let record = KeyRecord {
            id: self.id,
            project_id: self.project_id,
            org_id: self.org_id,
            user_id: self.user_id,
            kind: self.kind,
            status: self.status,
            expires_at: expires_at.map(|unix_micros| Timestamp { unix_micros }),
            allowed_ips: self.allowed_ips.map_or(AllowedIps::Any, AllowedIps::Only),
            scopes: Scopes {
                read: self.may_read,
                write: self.may_write,
            },
            tenant: self.tenant,
            target,
            own_upstream_key,
            on_client_disconnect: self.on_client_disconnect.map(Reaction::meant),
        };
        Loaded {
            id: self.id,
            project_id: self.project_id,
            org_id: self.org_id,
            org_slug: self.org_slug.into(),
            row_hash: 0,
            key: Some((self.hash, record)),
        }
    }
}

impl Reaction {
    fn of(meant: OnClientDisconnect) -> Self {
        match meant {
            OnClientDisconnect::Cancel => Self::Cancel,
            OnClientDisconnect::Drain => Self::Drain,
        }
    }

    fn meant(self) -> OnClientDisconnect {
        match self {
            Self::Cancel => OnClientDisconnect::Cancel,
            Self::Drain => OnClientDisconnect::Drain,
        }
    }
}
