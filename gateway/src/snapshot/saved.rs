//! What is kept on disk of what is in memory, field by field.
//!
//! Guarantees: no text of a key, only its SHA-256; no key of an upstream. Who answers a key is decided by the configuration that
//! is in force when it is read. The words here and in `words`, and those of [`OrgSource`] and [`ProjectSource`], are those of the file: changing
//! one takes a new version of its format.

mod hex;
mod objects;
mod sharing;
mod words;

use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, McpServerId, OrgId, ProjectId, Timestamp, UserId};
use ipnet::IpNet;
use policy_engine::{OrgSource, ProjectSource};
use proxy::{
    AllowedIps, KeyRecord, KeyStatus, McpServers, Scopes, Tenant, TenantState, UpstreamObjects,
};
use serde::{Deserialize, Serialize, Serializer};

pub(super) use self::sharing::Sharing;
use self::words::{Kind, Reaction, State, Status};
use super::load::{KeyRow, Loaded};
use super::memory::Contents;

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved<Keys = Vec<SavedKey>> {
    /// Whose state this is.
    pub(super) database: String,
    /// When it was last known to be that.
    verified_unix_micros: i64,
    pub(super) keys: Keys,
    pub(super) organizations: Vec<SavedOrganization>,
    mcp_servers: Vec<SavedServer>,
    #[serde(with = "objects")]
    pub(super) objects: Arc<UpstreamObjects>,
}

/// Keys that are written from where they are, one after the other.
#[derive(Debug)]
pub(super) struct HeldKeys(Vec<Arc<KeyRecord>>);

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
    org_slug: Box<str>,
    user_id: Option<UserId>,
    #[serde(with = "hex")]
    hash: KeyHash,
    #[serde(with = "Kind")]
    kind: KeyKind,
    #[serde(with = "Status")]
    status: KeyStatus,
    expires_unix_micros: Option<i64>,
    /// `null`: from anywhere. An empty list: from nowhere.
    allowed_ips: Option<Box<[IpNet]>>,
    may_read: bool,
    may_write: bool,
    #[serde(with = "State")]
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

impl Saved<HeldKeys> {
    pub(super) fn new(database: String, verified_at: Timestamp, contents: Contents) -> Self {
        let server = |(project_id, id, name): (_, _, &str)| SavedServer {
            project_id,
            id,
            name: name.to_owned(),
        };
        Self {
            database,
            verified_unix_micros: verified_at.unix_micros,
            keys: HeldKeys(contents.keys),
            organizations: contents.organizations,
            mcp_servers: contents.mcp_servers.iter().map(server).collect(),
            objects: contents.objects,
        }
    }
}

impl Serialize for HeldKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|record| SavedKey::of(record)))
    }
}

impl Saved {
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
    fn of(record: &KeyRecord) -> Self {
        // All fields are named, so that a new one isn't forgotten here.
        let KeyRecord {
            hash,
            id,
            user_id,
            kind,
            status,
            expires_at,
            allowed_ips,
            scopes,
            tenant,
        } = record;
        let Tenant {
            project_id,
            org_id,
            org_slug,
            state,
            target: _,
            own_upstream_key: _,
            on_client_disconnect,
        } = tenant.as_ref();
        Self {
            id: *id,
            project_id: *project_id,
            org_id: *org_id,
            org_slug: org_slug.clone(),
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
            tenant: *state,
            on_client_disconnect: on_client_disconnect.map(Reaction::of),
        }
    }

    /// As if it came from the database; nothing is known of its row.
    pub(super) fn into_loaded(self, sharing: &mut Sharing<'_>) -> Loaded {
        let (target, own_upstream_key) = sharing.targets.of(self.kind, &self.org_slug);
        let tenant = Tenant {
            project_id: self.project_id,
            org_id: self.org_id,
            org_slug: self.org_slug,
            state: self.tenant,
            target,
            own_upstream_key,
            on_client_disconnect: self.on_client_disconnect.map(Reaction::meant),
        };
        let expires_at = self.expires_unix_micros;
        let record = KeyRecord {
            hash: self.hash,
            id: self.id,
            user_id: self.user_id,
            kind: self.kind,
            status: self.status,
            expires_at: expires_at.map(|unix_micros| Timestamp { unix_micros }),
            allowed_ips: self.allowed_ips.map_or(AllowedIps::Any, AllowedIps::Only),
            scopes: Scopes {
                read: self.may_read,
                write: self.may_write,
            },
            tenant: sharing.shared(self.kind, tenant),
        };
        Loaded {
            row_hash: 0,
            row: KeyRow::Key(Arc::new(record)),
        }
    }
}
