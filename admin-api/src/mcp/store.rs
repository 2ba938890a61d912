//! A scan's place in the database: begun in one transaction, ended in another, and only by who began it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::offer::Tool;
use super::risk::{self, Before, Code, Finding, Level, Neighbour, level_to_store};
use super::scan::{Seen, Subject, Way};
use super::transport;
use crate::error::{ApiError, Result};
use crate::transaction::Transaction;

/// A scan that has run for longer has died with its process.
const LONGEST_SCAN_SECONDS: f64 = 60.0;
const MOST_NEIGHBOURS: i64 = 5_000;
/// Results have no more of them: they are shown, and in the audit log.
const MOST_FINDINGS: usize = 500;

/// Says that a scan runs, and tells what is to be looked at. The server is locked.
pub(crate) async fn begin(transaction: &Transaction, id: Uuid, scan_id: Uuid) -> Result<Subject> {
    let sql = "UPDATE mcp_servers SET security_scan_status = 'running',
            security_scan_results = coalesce(security_scan_results, '{}')
                || jsonb_build_object('running', jsonb_build_object('scan_id', $2::uuid, 'started_at', now()))
        WHERE id = $1 AND (security_scan_status IS DISTINCT FROM 'running'
            OR (coalesce((security_scan_results #>> '{running,started_at}')::timestamptz, updated_at)
                < now() - make_interval(secs => $3)))
        RETURNING transport_type, transport_config, manifest, manifest_url, project_id,
            (SELECT o.slug FROM projects p JOIN organizations o ON o.id = p.org_id WHERE p.id = project_id)";
    let row = transaction
        .maybe(sql, &[&id, &scan_id, &LONGEST_SCAN_SECONDS])
        .await?;
    let row = row
        .ok_or_else(|| ApiError::conflict("scan_running", "a scan of this server runs already"))?;
    let (kind, config): (String, Value) = (row.try_get(0)?, row.try_get(1)?);
    // It may have been written by others than this API.
    transport::check(&kind, &config)?;
    let way = match kind.as_str() {
        "stdio" => Way::Command(transport::read("transport_config", &config)?),
        "sse" => Way::Sse(transport::read("transport_config", &config)?),
        _ => Way::Http(transport::read("transport_config", &config)?),
    };
    let manifest_url: Option<String> = row.try_get(3)?;
    let manifest_url = manifest_url
        .map(|url| transport::check_url("manifest_url", &url, 500))
        .transpose()?;
    Ok(Subject {
        org_slug: row.try_get(5)?,
        way,
        manifest: row.try_get(2)?,
        manifest_url,
        tools: stored(transaction, id)
            .await?
            .into_iter()
            .map(|(name, before)| before.tool(name))
            .collect(),
        neighbours: neighbours(transaction, row.try_get(4)?, id).await?,
    })
}

impl Before {
    fn tool(self, name: String) -> Tool {
        Tool {
            name,
            description: self.description,
            schema: self.schema,
            ..Tool::default()
        }
    }
}

async fn stored(transaction: &Transaction, server_id: Uuid) -> Result<BTreeMap<String, Before>> {
    let sql = "SELECT name, description, input_schema, risk_level, enabled FROM mcp_tools WHERE server_id = $1 FOR UPDATE";
    let rows = transaction.all(sql, &[&server_id]).await?;
    let read = |row: &tokio_postgres::Row| {
        let level: String = row.try_get(3)?;
        let before = Before {
            description: row.try_get(1)?,
            schema: row.try_get(2)?,
            level: Level::parse(&level).unwrap_or(Level::Critical),
            enabled: row.try_get(4)?,
        };
        Ok((row.try_get(0)?, before))
    };
    rows.iter().map(read).collect()
}

async fn neighbours(
    transaction: &Transaction,
    project_id: Uuid,
    id: Uuid,
) -> Result<Vec<Neighbour>> {
    let sql = "SELECT s.name, t.name FROM mcp_tools t JOIN mcp_servers s ON s.id = t.server_id
        WHERE s.project_id = $1 AND s.id <> $2 AND s.deleted_at IS NULL AND s.status IN ('approved', 'deprecated')
        ORDER BY t.id LIMIT $3";
    let rows = transaction
        .all(sql, &[&project_id, &id, &MOST_NEIGHBOURS])
        .await?;
    let read = |row: &tokio_postgres::Row| Ok(Neighbour::new(row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(read).collect()
}

/// A scan's end.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) id: Uuid,
    pub(crate) scan_id: Uuid,
}

impl Ending {
    /// Stores what was seen, or why nothing was. The server is locked, and still what was looked at.
    pub(crate) async fn store(
        &self,
        transaction: &Transaction,
        seen: Result<Seen, String>,
    ) -> Result<()> {
        let sql = "SELECT status, security_scan_results FROM mcp_servers
            WHERE id = $1 AND security_scan_status = 'running'
              AND security_scan_results #>> '{running,scan_id}' = $2::uuid::text";
        let row = transaction.maybe(sql, &[&self.id, &self.scan_id]).await?;
        let row = row.ok_or_else(|| {
            ApiError::conflict(
                "changed_meanwhile",
                "the server has changed while it was scanned: scan it again",
            )
        })?;
        let (status, results): (String, Value) = (row.try_get(0)?, row.try_get(1)?);
        let is_approved = matches!(status.as_str(), "approved" | "deprecated");
        let last = last_found(&results);
        let (has_passed, results) = match seen {
            Ok(seen) => {
                let findings = self
                    .store_tools(transaction, &seen, is_approved, &last)
                    .await?;
                let has_passed = findings
                    .iter()
                    .all(|finding| finding.severity < Level::Critical);
                (has_passed, self.results(&seen, findings))
            }
            // What was known of the tools stays known.
            Err(error) => (
                false,
                json!({"error": error, "findings": [], "tools": results.get("tools"),
                "scan_id": self.scan_id}),
            ),
        };
        let sql = "UPDATE mcp_servers SET security_scan_status = $2, security_scan_results = $3::jsonb || jsonb_build_object('finished_at', now()),
                last_scanned_at = now()
            WHERE id = $1 RETURNING id";
        let word = if has_passed { "passed" } else { "failed" };
        transaction.one(sql, &[&self.id, &word, &results]).await?;
        Ok(())
    }

    fn results(&self, seen: &Seen, findings: Vec<Finding>) -> Value {
        let mut findings = findings;
        // The worst are kept.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let left_out = findings.len().saturating_sub(MOST_FINDINGS);
        findings.truncate(MOST_FINDINGS);
        let tools = seen
            .tools
            .iter()
            .map(|(tool, findings)| json!({"name": tool.name, "risk": risk::level(findings)}));
        json!({
            "error": null, "scan_id": self.scan_id,
            "protocol_version": seen.protocol_version, "server_info": seen.server_info,
            "findings": findings, "findings_left_out": left_out, "tools": tools.collect::<Vec<_>>(),
        })
    }

    /// Stores the tools, and gives all findings.
    async fn store_tools(
        &self,
        transaction: &Transaction,
        seen: &Seen,
        is_approved: bool,
        last: &BTreeMap<String, Level>,
    ) -> Result<Vec<Finding>> {
        let before = stored(transaction, self.id).await?;
        let tools: Vec<Tool> = seen.tools.iter().map(|(tool, _)| tool.clone()).collect();
        let mut findings = seen.findings.clone();
        findings.extend(seen.tools.iter().flat_map(|(_, findings)| findings.clone()));
        // What nobody had seen, nobody has approved by what it was.
        let is_agreed = is_approved && !before.is_empty() && !seen.is_stored;
        if is_agreed {
            findings.extend(risk::compare(&before, &tools));
        }
        let mut columns = Columns::default();
        for (tool, found) in &seen.tools {
            let found = risk::level(found);
            let known = before.get(&tool.name);
            let level = known.map_or(found, |known| {
                level_to_store(known.level, last.get(&tool.name).copied(), found)
            });
            let enabled = match known {
                Some(known) => known.enabled && (known.is(tool) || !is_agreed),
                None => !is_agreed,
            };
            columns.push(tool, level, enabled);
        }
        columns.store(transaction, self.id).await?;
        if !seen.is_stored {
            let sql = "UPDATE mcp_tools SET enabled = false WHERE server_id = $1 AND enabled AND name <> ALL($2) RETURNING name";
            for row in transaction.all(sql, &[&self.id, &columns.names]).await? {
                let name: String = row.try_get(0)?;
                findings.push(Finding::of(Code::ToolVanished, &name));
            }
        }
        Ok(findings)
    }
}

/// The levels that the scan before has found.
fn last_found(results: &Value) -> BTreeMap<String, Level> {
    let tools = results.get("tools").and_then(Value::as_array);
    let read = |tool: &Value| {
        let name = tool.get("name")?.as_str()?.to_owned();
        Some((name, Level::parse(tool.get("risk")?.as_str()?)?))
    };
    tools.into_iter().flatten().filter_map(read).collect()
}

/// Tools column by column, for one statement.
#[derive(Debug, Default)]
struct Columns {
    ids: Vec<Uuid>,
    names: Vec<String>,
    descriptions: Vec<Option<String>>,
    schemas: Vec<Value>,
    levels: Vec<&'static str>,
    enabled: Vec<bool>,
}

impl Columns {
    fn push(&mut self, tool: &Tool, level: Level, enabled: bool) {
        self.ids.push(Uuid::now_v7());
        self.names.push(tool.name.clone());
        self.descriptions.push(tool.description.clone());
        self.schemas.push(tool.schema.clone());
        self.levels.push(level.name());
        self.enabled.push(enabled);
    }

    async fn store(&self, transaction: &Transaction, server_id: Uuid) -> Result<()> {
        let sql = "INSERT INTO mcp_tools AS t (server_id, id, name, description, input_schema, risk_level, enabled)
            SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::bool[])
            ON CONFLICT (server_id, name) DO UPDATE SET description = excluded.description,
                input_schema = excluded.input_schema, risk_level = excluded.risk_level, enabled = excluded.enabled
            WHERE (t.description, t.input_schema, t.risk_level, t.enabled)
                IS DISTINCT FROM (excluded.description, excluded.input_schema, excluded.risk_level, excluded.enabled)";
        let values: [crate::transaction::Param<'_>; 7] = [
            &server_id,
            &self.ids,
            &self.names,
            &self.descriptions,
            &self.schemas,
            &self.levels,
            &self.enabled,
        ];
        transaction.all(sql, &values).await.map(drop)
    }
}
