//! Keys as the database has them, turned into what the data plane needs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, McpServerId, OrgId, ProjectId, Timestamp, UserId};
use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use proxy::{
    AllowedIps, KeyRecord, KeyStatus, McpServers, Scopes, Target, TenantState, UpstreamObjects,
};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// What is known of a key, as one row. `expires_at` may be infinite, or beyond what
/// microseconds can count; nobody will see the difference.
const KEYS: &str = "\
    SELECT k.id, k.project_id, p.org_id, k.created_by, k.key_prefix, k.key_hash, k.status, \
           CASE WHEN k.expires_at > '9999-01-01' THEN NULL WHEN k.expires_at < '1970-01-01' THEN 0 \
                ELSE (extract(epoch FROM k.expires_at) * 1000000)::bigint END AS expires_micros, \
           k.allowed_ips::text[] AS allowed_ips, k.scopes, \
           p.status = 'active' AND p.deleted_at IS NULL AS project_active, \
           o.status = 'active' AND o.deleted_at IS NULL AS organization_active, o.slug, \
           p.settings ->> 'on_client_disconnect' AS on_client_disconnect \
    FROM api_keys k JOIN projects p ON p.id = k.project_id JOIN organizations o ON o.id = p.org_id";

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

/// A row, and what it means.
pub(super) struct Loaded {
    pub(super) id: ApiKeyId,
    pub(super) project_id: ProjectId,
    pub(super) org_id: OrgId,
    pub(super) org_slug: Arc<str>,
    pub(super) row_hash: i64,
    /// `None` if the row makes no sense: such a key is refused, and said to be.
    pub(super) key: Option<(KeyHash, KeyRecord)>,
}

/// A number that differs, in all likelihood, when any key differs: the hashes of all rows, combined in a way
/// that their order doesn't matter.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) rows: i64,
    pub(super) hash: i64,
}

impl Fingerprint {
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

/// Loads keys.
pub(super) async fn keys(
    client: &Client,
    scope: &Scope,
    targets: &Targets,
) -> Result<Vec<Loaded>, tokio_postgres::Error> {
    let select = |condition: &str| {
        format!("SELECT found.*, {ROW_HASH} AS row_hash FROM ({KEYS} WHERE {condition}) AS found")
    };
    let rows = match scope {
        Scope::All => client.query(&select("true"), &[]).await?,
        Scope::Keys(ids) => {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
            client.query(&select("k.id = ANY($1)"), &[&ids]).await?
        }
        Scope::Project(id) => client.query(&select("p.id = $1"), &[&id.0]).await?,
        Scope::Organization(id) => client.query(&select("o.id = $1"), &[&id.0]).await?,
    };
    rows.iter().map(|row| loaded(row, targets)).collect()
}

/// Loads one key, whatever its state; none if there is no such row, or it makes no sense.
pub(crate) async fn load_key(
    client: &Client,
    id: ApiKeyId,
    targets: &Targets,
) -> Result<Option<KeyRecord>, tokio_postgres::Error> {
    let found = keys(client, &Scope::Keys(vec![id]), targets).await?;
    let found = found.into_iter().next();
    Ok(found.and_then(|loaded| Some(loaded.key?.1)))
}

/// The fingerprint of all keys, computed where they are.
pub(super) async fn fingerprint(client: &Client) -> Result<Fingerprint, tokio_postgres::Error> {
    fingerprint_of(client, KEYS).await
}

/// The fingerprint of all rows that a query finds.
pub(super) async fn fingerprint_of(
    client: &Client,
    select: &str,
) -> Result<Fingerprint, tokio_postgres::Error> {
    let query =
        format!("SELECT count(*), coalesce(bit_xor({ROW_HASH}), 0) FROM ({select}) AS found");
    let row = client.query_one(&query, &[]).await?;
    Ok(Fingerprint {
        rows: row.try_get(0)?,
        hash: row.try_get(1)?,
    })
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

fn loaded(row: &Row, targets: &Targets) -> Result<Loaded, tokio_postgres::Error> {
    let id = ApiKeyId(row.try_get("id")?);
    let org_slug: String = row.try_get("slug")?;
    let key = key(row, id, &org_slug, targets).unwrap_or_else(|error| {
        tracing::warn!(key_id = %id, %error, "a key that can't be understood is refused");
        None
    });
    Ok(Loaded {
        id,
        project_id: ProjectId(row.try_get("project_id")?),
        org_id: OrgId(row.try_get("org_id")?),
        org_slug: org_slug.into(),
        row_hash: row.try_get("row_hash")?,
        key,
    })
}

fn key(
    row: &Row,
    id: ApiKeyId,
    org_slug: &str,
    targets: &Targets,
) -> Result<Option<(KeyHash, KeyRecord)>, tokio_postgres::Error> {
    let (prefix, hash): (String, String) = (row.try_get("key_prefix")?, row.try_get("key_hash")?);
    let (Some(kind), Some(hash)) = (KeyKind::from_prefix(&prefix), KeyHash::from_hex(&hash)) else {
        tracing::warn!(key_id = %id, "a key with an unknown prefix or a malformed hash is refused");
        return Ok(None);
    };
    let scopes: Vec<Option<String>> = row.try_get("scopes")?;
    let has_scope = |name: &str| scopes.iter().flatten().any(|scope| scope == name);
    let (target, own_upstream_key) = targets.of(kind, org_slug);
    let record = KeyRecord {
        id,
        project_id: ProjectId(row.try_get("project_id")?),
        org_id: OrgId(row.try_get("org_id")?),
        user_id: Some(UserId(row.try_get("created_by")?)),
        kind,
        status: status(row.try_get("status")?),
        expires_at: row
            .try_get::<_, Option<i64>>("expires_micros")?
            .map(|unix_micros| Timestamp { unix_micros }),
        allowed_ips: allowed_ips(row.try_get("allowed_ips")?),
        scopes: Scopes {
            read: has_scope("read"),
            write: has_scope("write"),
        },
        tenant: tenant(
            row.try_get("project_active")?,
            row.try_get("organization_active")?,
        ),
        target,
        own_upstream_key,
        on_client_disconnect: row
            .try_get::<_, Option<String>>("on_client_disconnect")?
            .and_then(|text| text.parse().ok()),
    };
    Ok(Some((hash, record)))
}

/// An unknown status refuses.
fn status(text: &str) -> KeyStatus {
    match text {
        "active" => KeyStatus::Active,
        "expired" => KeyStatus::Expired,
        _ => KeyStatus::Revoked,
    }
}

/// What becomes of the keys of a project that is active or not, of an organization that is or not.
pub(crate) fn tenant(project_active: bool, organization_active: bool) -> TenantState {
    match (organization_active, project_active) {
        (true, true) => TenantState::Active,
        (true, false) => TenantState::ProjectInactive,
        (false, _) => TenantState::OrganizationInactive,
    }
}

/// PostgreSQL writes a single address without a mask. An element that is none allows nobody.
fn allowed_ips(texts: Option<Vec<Option<String>>>) -> AllowedIps {
    let network = |text: Option<String>| {
        let text = text?;
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .ok()
    };
    match texts {
        None => AllowedIps::Any,
        Some(texts) if texts.is_empty() => AllowedIps::Any,
        Some(texts) => AllowedIps::Only(texts.into_iter().filter_map(network).collect()),
    }
}
