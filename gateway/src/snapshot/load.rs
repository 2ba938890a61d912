//! What the database has, turned into what the data plane needs.

mod keys;
mod row;
mod tenants;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{ApiKeyId, KeyKind, McpServerId, OrgId, ProjectId};
use futures_util::TryStreamExt as _;
use proxy::{KeyRecord, McpServers, Target, UpstreamObjects};
use tokio_postgres::{Client, Row};

pub(crate) use self::keys::load_key;
pub(super) use self::keys::{fingerprint, keys};
pub(crate) use self::tenants::tenant;

/// Tells two states of a row apart. Being used changes nothing that is in it.
pub(super) const ROW_HASH: &str = "hashtextextended(found::text, 0)";

/// Servers that nobody has deleted, whatever their approval: a call is told by its name.
const MCP_SERVERS: &str = "SELECT id, project_id, name FROM mcp_servers WHERE deleted_at IS NULL";

/// Which keys to load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Keys(Vec<ApiKeyId>),
    Project(ProjectId),
    Organization(OrgId),
}

impl Scope {
    /// Whether a key is among them.
    pub(super) fn covers(&self, id: ApiKeyId, project_id: ProjectId, org_id: OrgId) -> bool {
        match self {
            Self::All => true,
            Self::Keys(ids) => ids.contains(&id),
            Self::Project(project) => *project == project_id,
            Self::Organization(org) => *org == org_id,
        }
    }
}

/// A row of `api_keys`.
pub(super) struct Loaded {
    pub(super) row_hash: i64,
    pub(super) row: KeyRow,
}

/// What a row means.
pub(super) enum KeyRow {
    /// A key, whatever its state.
    Key(Arc<KeyRecord>),
    /// Nothing: such a key is refused, and said to be.
    Senseless {
        id: ApiKeyId,
        project_id: ProjectId,
        org_id: OrgId,
    },
}

impl KeyRow {
    pub(super) fn id(&self) -> ApiKeyId {
        match self {
            Self::Key(record) => record.id,
            Self::Senseless { id, .. } => *id,
        }
    }
}

/// A number that differs, in all likelihood, when any key differs: the hashes of all rows, combined in a way
/// that their order doesn't matter.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) rows: i64,
    pub(super) hash: i64,
}

impl Fingerprint {
    /// A count and a combined hash.
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            rows: row.try_get(0)?,
            hash: row.try_get(1)?,
        })
    }

    /// That of what both are of.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            hash: self.hash ^ other.hash,
        }
    }
}

/// Who answers which keys.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// Live keys.
    pub(crate) live: Arc<Target>,
    /// Live keys of organizations that have an upstream key of their own, by slug.
    pub(crate) by_org: BTreeMap<String, Arc<Target>>,
    /// Test keys: the simulator.
    pub(crate) test: Arc<Target>,
}

impl Targets {
    /// Who answers, and whether the upstream key there is the organization's own.
    pub(super) fn of(&self, kind: KeyKind, slug: &str) -> (Arc<Target>, bool) {
        let own = self.by_org.get(slug).filter(|_| kind == KeyKind::Live);
        let shared = match kind {
            KeyKind::Test => &self.test,
            KeyKind::Live => &self.live,
        };
        (Arc::clone(own.unwrap_or(shared)), own.is_some())
    }
}

/// The fingerprint of all rows that a query finds.
pub(super) async fn fingerprint_of(
    client: &Client,
    select: &str,
) -> Result<Fingerprint, tokio_postgres::Error> {
    let query =
        format!("SELECT count(*), coalesce(bit_xor({ROW_HASH}), 0) FROM ({select}) AS found");
    Fingerprint::read(&client.query_one(&query, &[]).await?)
}

/// Loads who has made what upstream, after the given place. Rows become visible in another order than they were numbered
/// in, so some before it are read again.
pub(super) async fn upstream_objects(
    client: &Client,
    after: i64,
    objects: &UpstreamObjects,
) -> Result<i64, tokio_postgres::Error> {
    const READ_AGAIN: i64 = 1_000;
    let query = "SELECT id, project_id, seq FROM upstream_objects WHERE seq > $1 ORDER BY seq";
    let rows = client
        .query_raw(query, [after.saturating_sub(READ_AGAIN)])
        .await?;
    let mut rows = std::pin::pin!(rows);
    let mut last = after;
    while let Some(row) = rows.try_next().await? {
        objects.insert(row.try_get(0)?, ProjectId(row.try_get(1)?));
        last = last.max(row.try_get(2)?);
    }
    Ok(last)
}

/// Loads the MCP servers of all projects.
pub(super) async fn mcp_servers(client: &Client) -> Result<McpServers, tokio_postgres::Error> {
    let mut servers = McpServers::default();
    for row in client.query(MCP_SERVERS, &[]).await? {
        let (id, project_id) = (McpServerId(row.try_get(0)?), ProjectId(row.try_get(1)?));
        servers.add(project_id, id, row.try_get(2)?);
    }
    Ok(servers)
}

/// Their fingerprint, computed where they are.
pub(super) async fn mcp_fingerprint(client: &Client) -> Result<Fingerprint, tokio_postgres::Error> {
    fingerprint_of(client, MCP_SERVERS).await
}

#[cfg(test)]
mod tests;
