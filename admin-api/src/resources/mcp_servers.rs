//! `/admin/v1/mcp-servers`

mod verbs;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub(crate) use self::verbs::*;
use super::Deleted;
use super::api_keys::check_creator;
use super::projects::Project;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::limits::{self, Limit};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::mcp::{secrets, transport};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::server::Shared;
use crate::sql::Columns;
use crate::{changes, check, rules};

const STATUSES: &[&str] = &["pending", "approved", "rejected", "deprecated"];
const SCAN_STATUSES: &[&str] = &["pending", "running", "passed", "failed"];

/// An MCP server that a project may use, once it is approved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct McpServer {
    id: Uuid,
    /// `mcp_server`
    r#type: &'static str,
    project_id: Uuid,
    registered_by: Uuid,
    /// What requests call it.
    name: String,
    description: Option<String>,
    version: Option<String>,
    /// `stdio`, `sse` or `http`
    transport_type: String,
    /// Values of headers are `***` unless they are `${secrets.NAME}`.
    #[schema(value_type = Object)]
    transport_config: Value,
    /// Values are `***` unless they are `${secrets.NAME}`.
    #[schema(value_type = Object)]
    environment: Value,
    #[schema(value_type = Option<Object>)]
    manifest: Option<Value>,
    manifest_url: Option<String>,
    /// `pending`, `approved`, `rejected` or `deprecated`
    status: String,
    approved_by: Option<Uuid>,
    approved_at: Option<DateTime<Utc>>,
    rejection_reason: Option<String>,
    /// `pending`, `running`, `passed` or `failed`
    security_scan_status: Option<String>,
    /// What the last scan has found.
    #[schema(value_type = Option<Object>)]
    security_scan_results: Option<Value>,
    last_scanned_at: Option<DateTime<Utc>>,
    /// `allowed_roles`, `rate_limit_per_minute`, `requires_approval_per_use`
    #[schema(value_type = Object)]
    policy: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for McpServer {
    const TABLE: &'static str = "mcp_servers";
    const NAME: &'static str = "MCP server";
    const OF_ORG: &'static str =
        "EXISTS (SELECT FROM projects p WHERE p.id = t.project_id AND p.org_id = ?)";
    const THERE: &'static [&'static str] = &[
        "t.deleted_at IS NULL",
        "EXISTS (SELECT FROM projects p JOIN organizations o ON o.id = p.org_id \
            WHERE p.id = t.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL)",
    ];
    const COLUMNS: &'static str = "t.id, t.project_id, t.registered_by, t.name, t.description, t.version, t.transport_type, \
        t.transport_config, t.environment, t.manifest, t.manifest_url, t.status, t.approved_by, t.approved_at, \
        t.rejection_reason, t.security_scan_status, t.security_scan_results, t.last_scanned_at, t.policy, t.created_at, \
        t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "mcp_server",
            project_id: row.try_get("project_id")?,
            registered_by: row.try_get("registered_by")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            version: row.try_get("version")?,
            transport_type: row.try_get("transport_type")?,
            transport_config: transport::shown(row.try_get("transport_config")?),
            environment: transport::hidden(row.try_get("environment")?),
            manifest: row.try_get("manifest")?,
            manifest_url: row.try_get("manifest_url")?,
            status: row.try_get("status")?,
            approved_by: row.try_get("approved_by")?,
            approved_at: row.try_get("approved_at")?,
            rejection_reason: row.try_get("rejection_reason")?,
            security_scan_status: row.try_get("security_scan_status")?,
            security_scan_results: row.try_get("security_scan_results")?,
            last_scanned_at: row.try_get("last_scanned_at")?,
            policy: row.try_get("policy")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for McpServer {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which servers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    project_id: Option<Uuid>,
    name: Option<String>,
    status: Option<String>,
    security_scan_status: Option<String>,
    transport_type: Option<String>,
}

/// MCP servers, the newest first.
#[utoipa::path(get, operation_id = "mcp_servers_list", path = "/mcp-servers", tag = "mcp-servers", params(Part, Query), responses((status = 200, body = Page<McpServer>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<McpServer>>> {
    caller.may(Act::ReadMcp)?;
    for (name, value, words) in [
        ("status", &query.status, STATUSES),
        (
            "security_scan_status",
            &query.security_scan_status,
            SCAN_STATUSES,
        ),
        ("transport_type", &query.transport_type, transport::KINDS),
    ] {
        if let Some(value) = value {
            check::one_of(name, value, words)?;
        }
    }
    let mut filter = Filter::visible::<McpServer>(&caller);
    filter.and_if("t.project_id = ?", query.project_id);
    filter.and_if("t.name = ?", query.name);
    filter.and_if("t.status = ?", query.status);
    filter.and_if("t.security_scan_status = ?", query.security_scan_status);
    filter.and_if("t.transport_type = ?", query.transport_type);
    listing::list(&shared, &caller, filter, part).await
}

/// One MCP server.
#[utoipa::path(get, operation_id = "mcp_servers_show", path = "/mcp-servers/{id}", tag = "mcp-servers", params(("id" = Uuid, Path)), responses((status = 200, body = McpServer)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::ReadMcp)?;
    listing::show(&shared, &caller, id).await
}

/// A new server.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMcpServer {
    project_id: Uuid,
    /// What requests call it.
    name: String,
    description: Option<String>,
    version: Option<String>,
    /// `stdio`, `sse` or `http`
    transport_type: String,
    /// `{"command", "args"}` for `stdio`, `{"url", "headers"}` for `sse` and `http`.
    #[schema(value_type = Object)]
    transport_config: Value,
    /// Variables of a command.
    #[schema(value_type = Option<Object>)]
    environment: Option<Value>,
    /// `{"tools": [{"name", "description", "inputSchema", "annotations"}]}`
    #[schema(value_type = Option<Object>)]
    manifest: Option<Value>,
    manifest_url: Option<String>,
    /// Merged into the defaults.
    #[schema(value_type = Option<Object>)]
    policy: Option<Value>,
    /// The caller if not given.
    registered_by: Option<Uuid>,
}

/// Registers an MCP server. It is `pending` until somebody approves it.
#[utoipa::path(post, operation_id = "mcp_servers_create", path = "/mcp-servers", tag = "mcp-servers", request_body = NewMcpServer, responses((status = 201, body = McpServer)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewMcpServer>,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::RegisterMcp)?;
    // A scan, which comes before anybody approves, sends the organization's secrets to wherever this says.
    if secrets::are_named_in(&new.transport_config)
        || new.environment.as_ref().is_some_and(secrets::are_named_in)
    {
        caller.may(Act::ChangeMcp)?;
    }
    let id = Uuid::now_v7();
    let registered_by = caller.creator("registered_by", new.registered_by)?;
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("project_id", new.project_id);
    columns.set("registered_by", registered_by);
    set_name(&mut columns, new.name)?;
    set_words(
        &mut columns,
        new.description.map(Some),
        new.version.map(Some),
    )?;
    transport::check(&new.transport_type, &new.transport_config)?;
    columns.set("transport_type", new.transport_type);
    columns.set("transport_config", new.transport_config);
    if let Some(environment) = new.environment {
        transport::check_environment(&environment)?;
        columns.set("environment", environment);
    }
    set_manifest(
        &mut columns,
        new.manifest.map(Some),
        new.manifest_url.map(Some),
    )?;
    let policy = new.policy.unwrap_or(json!({}));
    check::object("policy", &policy)?;
    rules::check_server(&shared, &policy).await?;
    changes::create(&shared, &caller, async |transaction| {
        let project = listing::lock::<Project>(transaction, &caller, new.project_id).await?;
        limits::room_for(transaction, project.org_id, Limit::McpServers).await?;
        check_creator(transaction, &caller, registered_by).await?;
        columns.insert(transaction, "mcp_servers").await?;
        let sql = "UPDATE mcp_servers SET policy = policy || $2 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&id, &policy]).await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

fn set_name(columns: &mut Columns, name: String) -> Result<()> {
    check::text("name", &name, 255)?;
    columns.set("name", name);
    Ok(())
}

fn set_words(
    columns: &mut Columns,
    description: Option<Option<String>>,
    version: Option<Option<String>>,
) -> Result<()> {
    let text = description.as_ref().and_then(Option::as_deref);
    check::long_text("description", text)?;
    columns.set_if("description", description);
    if let Some(Some(version)) = &version {
        check::text("version", version, 50)?;
    }
    columns.set_if("version", version);
    Ok(())
}

/// As long as its column.
const LONGEST_MANIFEST_URL: usize = 500;

fn set_manifest(
    columns: &mut Columns,
    manifest: Option<Option<Value>>,
    url: Option<Option<String>>,
) -> Result<()> {
    if let Some(Some(manifest)) = &manifest {
        check::object("manifest", manifest)?;
        let tools = manifest.get("tools");
        if tools.is_some_and(|tools| !tools.is_array()) {
            return Err(ApiError::invalid("manifest.tools", "must be a list"));
        }
    }
    columns.set_if("manifest", manifest);
    if let Some(Some(url)) = &url {
        transport::check_url("manifest_url", url, LONGEST_MANIFEST_URL)?;
    }
    columns.set_if("manifest_url", url);
    Ok(())
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = McpServerChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    version: Option<Option<String>>,
    #[serde(default, deserialize_with = "some")]
    transport_type: Option<String>,
    /// All of it, in place of what was before.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    transport_config: Option<Value>,
    /// All of it, in place of what was before.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    environment: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    manifest: Option<Option<Value>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    manifest_url: Option<Option<String>>,
    /// All of it, in place of what was before.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    policy: Option<Value>,
    /// `deprecated`, of one that is approved: it works with a warning.
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes an MCP server. If its name, transport, environment or manifest becomes another, what was found of it is forgotten, and an
/// approval too: it is `pending` again.
#[utoipa::path(post, operation_id = "mcp_servers_update", path = "/mcp-servers/{id}", tag = "mcp-servers", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = McpServer)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::ChangeMcp)?;
    let mut columns = Columns::default();
    if let Some(name) = changes.name {
        set_name(&mut columns, name)?;
    }
    set_words(&mut columns, changes.description, changes.version)?;
    if let Some(environment) = changes.environment {
        transport::check_environment(&environment)?;
        columns.set("environment", environment);
    }
    set_manifest(&mut columns, changes.manifest, changes.manifest_url)?;
    if let Some(policy) = changes.policy {
        check::object("policy", &policy)?;
        rules::check_server(&shared, &policy).await?;
        columns.set("policy", policy);
    }
    if let Some(status) = &changes.status {
        check::one_of("status", status, &["deprecated"])?;
    }
    let transport = (changes.transport_type, changes.transport_config);
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, found: McpServer| {
            // The configuration has to be one of the transport's, whichever of the two changes.
            if transport.0.is_some() || transport.1.is_some() {
                let sql = "SELECT transport_config FROM mcp_servers WHERE id = $1";
                let stored: Value = transaction.one(sql, &[&id]).await?.try_get(0)?;
                let kind = transport.0.unwrap_or_else(|| found.transport_type.clone());
                let config = transport.1.unwrap_or(stored);
                transport::check(&kind, &config)?;
                columns.set("transport_type", kind);
                columns.set("transport_config", config);
            }
            let before = identity(transaction, id).await?;
            columns.update(transaction, "mcp_servers", id).await?;
            if identity(transaction, id).await? != before {
                forget(transaction, id).await
            } else if changes.status.is_some() {
                deprecate(transaction, &found).await
            } else {
                Ok(())
            }
        },
    )
    .await
}

/// Takes an MCP server out of sight: to requests it is one that nobody has registered.
#[utoipa::path(delete, operation_id = "mcp_servers_delete", path = "/mcp-servers/{id}", tag = "mcp-servers", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::ChangeMcp)?;
    changes::delete::<McpServer>(&shared, &caller, id, &if_match).await?;
    Ok(Json(Deleted {
        id,
        r#type: "mcp_server_deleted",
    }))
}
