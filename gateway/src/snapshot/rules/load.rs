//! Rules as the database has them: all rows that take part, by one statement, and so of one moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::OrgId;
use futures_util::TryStreamExt as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::draft::Draft;
use super::{OrgRules, Whose};
use crate::snapshot::load::{Fingerprint, ROW_HASH, fingerprint_of};

/// One shape for all tables: whose a row is, what it hangs on within the organization, and what it says. A policy of a project
/// is its organization's, whatever `org_id` it has itself.
const ROWS: &str = "\
    SELECT 'organization' AS kind, o.id AS org_id, NULL::uuid AS parent_id, o.id, \
           jsonb_build_object('slug', o.slug, 'settings', o.settings) AS body \
    FROM organizations o WHERE o.deleted_at IS NULL \
    UNION ALL \
    SELECT 'subscription', s.org_id, NULL, s.id, jsonb_build_object('status', s.status, 'limits', s.limits) \
    FROM subscriptions s JOIN organizations o ON o.id = s.org_id \
    WHERE o.deleted_at IS NULL AND NOT EXISTS ( \
        SELECT FROM subscriptions better WHERE better.org_id = s.org_id \
        AND (better.status <> 'canceled', better.created_at, better.id) > (s.status <> 'canceled', s.created_at, s.id)) \
    UNION ALL \
    SELECT 'member', m.org_id, m.user_id, m.id, to_jsonb(m.role) \
    FROM org_members m JOIN organizations o ON o.id = m.org_id \
    WHERE o.deleted_at IS NULL AND m.status = 'active' \
    UNION ALL \
    SELECT 'project', p.org_id, NULL, p.id, \
           jsonb_build_object('slug', p.slug, 'settings', p.settings, 'quotas', p.quotas) \
    FROM projects p JOIN organizations o ON o.id = p.org_id \
    WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL \
    UNION ALL \
    SELECT 'policy', r.org_id, NULL, r.id, \
           jsonb_build_object('name', r.name, 'type', r.type, 'rules', r.rules, 'applies_to', r.applies_to, \
               'priority', r.priority, 'status', r.status, 'created_unix_micros', \
               (extract(epoch FROM GREATEST('0001-01-01', LEAST('9999-01-01', r.created_at))) * 1000000)::bigint) \
    FROM policies r JOIN organizations o ON o.id = r.org_id \
    WHERE o.deleted_at IS NULL AND r.deleted_at IS NULL AND r.project_id IS NULL \
    UNION ALL \
    SELECT 'policy', p.org_id, p.id, r.id, \
           jsonb_build_object('name', r.name, 'type', r.type, 'rules', r.rules, 'applies_to', r.applies_to, \
               'priority', r.priority, 'status', r.status, 'created_unix_micros', \
               (extract(epoch FROM GREATEST('0001-01-01', LEAST('9999-01-01', r.created_at))) * 1000000)::bigint) \
    FROM policies r JOIN projects p ON p.id = r.project_id JOIN organizations o ON o.id = p.org_id \
    WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND r.deleted_at IS NULL \
    UNION ALL \
    SELECT 'server', p.org_id, p.id, s.id, jsonb_build_object('name', s.name, 'status', s.status, 'policy', s.policy, \
               'url', CASE s.transport_type WHEN 'stdio' THEN '' ELSE s.transport_config->>'url' END) \
    FROM mcp_servers s JOIN projects p ON p.id = s.project_id JOIN organizations o ON o.id = p.org_id \
    WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND s.deleted_at IS NULL \
    UNION ALL \
    SELECT 'tool', p.org_id, s.id, t.id, jsonb_build_object('name', t.name, 'enabled', t.enabled) \
    FROM mcp_tools t JOIN mcp_servers s ON s.id = t.server_id JOIN projects p ON p.id = s.project_id \
         JOIN organizations o ON o.id = p.org_id \
    WHERE o.deleted_at IS NULL AND p.deleted_at IS NULL AND s.deleted_at IS NULL";

/// Loads organizations; those that are deleted are not there.
pub(super) async fn organizations(
    client: &Client,
    whose: &Whose,
) -> Result<BTreeMap<OrgId, OrgRules>, Error> {
    let ids = match whose {
        Whose::Everybody => None,
        Whose::These(ids) => Some(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>()),
    };
    let condition = ids.as_ref().map_or("true", |_| "found.org_id = ANY($1)");
    let select =
        format!("SELECT found.*, {ROW_HASH} AS row_hash FROM ({ROWS}) AS found WHERE {condition}");
    let parameters = ids.iter().map(|ids| ids as &(dyn ToSql + Sync));
    let rows = client.query_raw(&select, parameters).await?;
    let mut rows = std::pin::pin!(rows);
    let mut drafts: BTreeMap<OrgId, Draft> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let org_id = OrgId(row.try_get("org_id")?);
        drafts.entry(org_id).or_default().add(&row)?;
    }
    let finished = drafts.into_iter().filter_map(|(id, draft)| {
        let rules = draft.finish(id)?;
        Some((id, rules))
    });
    Ok(finished.collect())
}

/// Organizations that rows are part of now.
pub(super) async fn owners(
    client: &Client,
    rows: &HashSet<Uuid>,
) -> Result<BTreeSet<OrgId>, Error> {
    let query = format!("SELECT DISTINCT org_id FROM ({ROWS}) AS found WHERE id = ANY($1)");
    let ids: Vec<Uuid> = rows.iter().copied().collect();
    let found = client.query(&query, &[&ids]).await?;
    found.iter().map(|row| Ok(OrgId(row.try_get(0)?))).collect()
}

/// The fingerprint of everything, computed where it is.
pub(super) async fn fingerprint(client: &Client) -> Result<Fingerprint, Error> {
    fingerprint_of(client, ROWS).await
}

/// The same of each organization.
pub(super) async fn fingerprints(client: &Client) -> Result<BTreeMap<OrgId, Fingerprint>, Error> {
    let query = format!(
        "SELECT org_id, count(*), bit_xor({ROW_HASH}) FROM ({ROWS}) AS found GROUP BY org_id"
    );
    let found = client.query(&query, &[]).await?;
    let read = |row: &tokio_postgres::Row| {
        let fingerprint = Fingerprint {
            rows: row.try_get(1)?,
            hash: row.try_get(2)?,
        };
        Ok((OrgId(row.try_get(0)?), fingerprint))
    };
    found.iter().map(read).collect()
}
