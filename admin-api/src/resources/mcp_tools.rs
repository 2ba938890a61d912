//! `/admin/v1/mcp-tools`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Deleted;
use super::mcp_servers::McpServer;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::Result;
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::mcp::offer::Offer;
use crate::mcp::risk::{self, LEVELS};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;
use crate::{changes, check};

/// A tool of an MCP server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct McpTool {
    id: Uuid,
    /// `mcp_tool`
    r#type: &'static str,
    server_id: Uuid,
    name: String,
    description: Option<String>,
    #[schema(value_type = Object)]
    input_schema: Value,
    /// `low`, `medium`, `high` or `critical`
    risk_level: String,
    /// What a person has to say of it.
    risk_notes: Option<String>,
    /// Requests that name a tool which isn't are refused.
    enabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for McpTool {
    const TABLE: &'static str = "mcp_tools";
    const NAME: &'static str = "MCP tool";
    const OF_ORG: &'static str = "EXISTS (SELECT FROM mcp_servers s JOIN projects p ON p.id = s.project_id \
        WHERE s.id = t.server_id AND p.org_id = ?)";
    const THERE: &'static [&'static str] = &[
        "EXISTS (SELECT FROM mcp_servers s JOIN projects p ON p.id = s.project_id JOIN organizations o ON o.id = p.org_id \
        WHERE s.id = t.server_id AND s.deleted_at IS NULL AND p.deleted_at IS NULL AND o.deleted_at IS NULL)",
    ];
    const COLUMNS: &'static str = "t.id, t.server_id, t.name, t.description, t.input_schema, t.risk_level, t.risk_notes, \
        t.enabled, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "mcp_tool",
            server_id: row.try_get("server_id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            input_schema: row.try_get("input_schema")?,
            risk_level: row.try_get("risk_level")?,
            risk_notes: row.try_get("risk_notes")?,
            enabled: row.try_get("enabled")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for McpTool {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which tools.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    server_id: Option<Uuid>,
    risk_level: Option<String>,
    enabled: Option<bool>,
}

/// MCP tools, the newest first.
#[utoipa::path(get, operation_id = "mcp_tools_list", path = "/mcp-tools", tag = "mcp-tools", params(Part, Query), responses((status = 200, body = Page<McpTool>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<McpTool>>> {
    caller.may(Act::ReadMcp)?;
    if let Some(level) = &query.risk_level {
        check::one_of("risk_level", level, LEVELS)?;
    }
    let mut filter = Filter::visible::<McpTool>(&caller);
    filter.and_if("t.server_id = ?", query.server_id);
    filter.and_if("t.risk_level = ?", query.risk_level);
    filter.and_if("t.enabled = ?", query.enabled);
    listing::list(&shared, &caller, filter, part).await
}

/// One MCP tool.
#[utoipa::path(get, operation_id = "mcp_tools_show", path = "/mcp-tools/{id}", tag = "mcp-tools", params(("id" = Uuid, Path)), responses((status = 200, body = McpTool)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<McpTool>> {
    caller.may(Act::ReadMcp)?;
    listing::show(&shared, &caller, id).await
}

/// A new tool, of a server that nobody can ask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMcpTool {
    server_id: Uuid,
    name: String,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    input_schema: Option<Value>,
    /// What the rules find, if not given.
    risk_level: Option<String>,
    risk_notes: Option<String>,
    /// True if not given.
    enabled: Option<bool>,
}

/// Makes a tool known that no scan has found.
#[utoipa::path(post, operation_id = "mcp_tools_create", path = "/mcp-tools", tag = "mcp-tools", request_body = NewMcpTool, responses((status = 201, body = McpTool)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewMcpTool>,
) -> Result<Tagged<McpTool>> {
    caller.may(Act::ChangeMcp)?;
    check::text("name", &new.name, 255)?;
    check::long_text("description", new.description.as_deref())?;
    check::long_text("risk_notes", new.risk_notes.as_deref())?;
    let schema = new.input_schema.unwrap_or(json!({"type": "object"}));
    check::object("input_schema", &schema)?;
    if let Some(level) = &new.risk_level {
        check::one_of("risk_level", level, LEVELS)?;
    }
    let found = found(&new.name, new.description.as_deref(), &schema);
    let id = Uuid::now_v7();
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("server_id", new.server_id);
    columns.set("name", new.name);
    columns.set_if("description", new.description);
    columns.set("input_schema", schema);
    columns.set("risk_level", new.risk_level.unwrap_or(found));
    columns.set_if("risk_notes", new.risk_notes);
    columns.set("enabled", new.enabled.unwrap_or(true));
    changes::create(&shared, &caller, async |transaction| {
        // A scan that ends meanwhile has its tools stored before or after.
        listing::lock::<McpServer>(transaction, &caller, new.server_id).await?;
        columns.insert(transaction, "mcp_tools").await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// The level by the rules, of a tool by itself.
fn found(name: &str, description: Option<&str>, schema: &Value) -> String {
    let entry = json!({"name": name, "description": description, "inputSchema": schema});
    let offer = Offer::read(vec![entry], false);
    let mut findings = offer.findings;
    findings.extend(offer.tools.iter().flat_map(|tool| risk::rate(tool, &[])));
    risk::level(&findings).name().to_owned()
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = McpToolChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    risk_level: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    risk_notes: Option<Option<String>>,
}

/// Says what a person thinks of a tool, and whether it may be used.
#[utoipa::path(post, operation_id = "mcp_tools_update", path = "/mcp-tools/{id}", tag = "mcp-tools", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = McpTool)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<McpTool>> {
    caller.may(Act::ChangeMcp)?;
    let mut columns = Columns::default();
    if let Some(level) = changes.risk_level {
        check::one_of("risk_level", &level, LEVELS)?;
        columns.set("risk_level", level);
    }
    let notes = changes.risk_notes.as_ref().and_then(Option::as_deref);
    check::long_text("risk_notes", notes)?;
    columns.set_if("risk_notes", changes.risk_notes);
    columns.set_if("enabled", changes.enabled);
    changes::change(&shared, &caller, id, &if_match, &columns).await
}

/// Forgets a tool. A scan that finds it makes it anew.
#[utoipa::path(delete, operation_id = "mcp_tools_delete", path = "/mcp-tools/{id}", tag = "mcp-tools", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::ChangeMcp)?;
    Transaction::within(&shared.pool, &caller, async |transaction| {
        if_match.check(&listing::lock::<McpTool>(transaction, &caller, id).await?)?;
        let sql = "DELETE FROM mcp_tools WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&id]).await.map(drop)
    })
    .await?;
    Ok(Json(Deleted {
        id,
        r#type: "mcp_tool_deleted",
    }))
}
