//! What is done with a server: approved, rejected, scanned.

use super::{
    ApiError, Body, Caller, Deserialize, Id, IfMatch, McpServer, Result, Shared, State, Tagged,
    ToSchema, Uuid, Value, changes, check, listing,
};
use crate::mcp::scan as scanning;
use crate::mcp::store::{self, Ending};
use crate::resources::api_keys::check_user;
use crate::role::Act;
use crate::transaction::Transaction;

/// What an approval or a scan is about: all but words and terms.
pub(super) async fn identity(transaction: &Transaction, id: Uuid) -> Result<Value> {
    let sql = "SELECT jsonb_build_array(name, transport_type, transport_config, environment, manifest, manifest_url)
        FROM mcp_servers WHERE id = $1";
    Ok(transaction.one(sql, &[&id]).await?.try_get(0)?)
}

/// Of what it is now nothing is known, and nobody has approved it. One that was rejected stays so.
pub(super) async fn forget(transaction: &Transaction, id: Uuid) -> Result<()> {
    let sql = "UPDATE mcp_servers SET security_scan_status = 'pending', security_scan_results = NULL, last_scanned_at = NULL,
            status = CASE WHEN status = 'rejected' THEN status ELSE 'pending' END, approved_by = NULL, approved_at = NULL
        WHERE id = $1 RETURNING id";
    transaction.one(sql, &[&id]).await.map(drop)
}

pub(super) async fn deprecate(transaction: &Transaction, found: &McpServer) -> Result<()> {
    if !matches!(found.status.as_str(), "approved" | "deprecated") {
        return Err(ApiError::conflict(
            "not_approved",
            "only an approved server can be deprecated",
        ));
    }
    let sql = "UPDATE mcp_servers SET status = 'deprecated' WHERE id = $1 RETURNING id";
    transaction.one(sql, &[&found.id]).await.map(drop)
}

/// An approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    /// Has to be true if the last scan has failed.
    #[serde(default)]
    accept_findings: bool,
    /// Has to be true if there was no scan since the server became what it is.
    #[serde(default)]
    accept_unscanned: bool,
    /// Whoever approves: the caller's user, who has to be named if the key is no user's.
    approved_by: Option<Uuid>,
}

impl Approval {
    /// Somebody answers for it, and nobody for somebody else.
    fn approver(&self, caller: &Caller) -> Result<Uuid> {
        match (caller.user_id, self.approved_by) {
            (Some(user), Some(other)) if user != other => Err(ApiError::forbidden(
                "role_missing",
                "nobody approves in somebody else's name",
            )),
            (Some(user), _) => Ok(user),
            (None, Some(named)) => Ok(named),
            (None, None) => Err(ApiError::invalid(
                "approved_by",
                "is required, since the caller's key is no user's",
            )),
        }
    }

    fn accepts(&self, scan_status: Option<&str>) -> Result<()> {
        match scan_status {
            Some("passed") => Ok(()),
            Some("running") => Err(ApiError::conflict(
                "scan_running",
                "a scan of this server runs: approve what it finds",
            )),
            Some("failed") if self.accept_findings => Ok(()),
            Some("failed") => Err(ApiError::conflict(
                "scan_failed",
                "the last scan has failed: look at security_scan_results, and send accept_findings",
            )),
            _ if self.accept_unscanned => Ok(()),
            _ => Err(ApiError::conflict(
                "not_scanned",
                "nobody has scanned the server as it is: scan it, or send accept_unscanned",
            )),
        }
    }
}

/// Approves an MCP server. One that is approved stays as it is.
#[utoipa::path(post, operation_id = "mcp_servers_approve", path = "/mcp-servers/{id}/approve", tag = "mcp-servers", params(IfMatch, ("id" = Uuid, Path)), request_body = Approval, responses((status = 200, body = McpServer)))]
pub(crate) async fn approve(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(approval): Body<Approval>,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::ChangeMcp)?;
    let approver = approval.approver(&caller)?;
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, found: McpServer| {
            if found.status == "approved" {
                return Ok(());
            }
            approval.accepts(found.security_scan_status.as_deref())?;
            // Whoever runs the installation needn't be a member anywhere.
            check_user(transaction, caller.org_id, approver, "approved_by").await?;
            let sql = "UPDATE mcp_servers SET status = 'approved', approved_by = $2, approved_at = now(), rejection_reason = NULL
                WHERE id = $1 RETURNING id";
            transaction.one(sql, &[&id, &approver]).await.map(drop)
        },
    )
    .await
}

/// A rejection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    reason: String,
}

/// Rejects an MCP server: requests that name it are refused within a moment, wherever they reach it from.
#[utoipa::path(post, operation_id = "mcp_servers_reject", path = "/mcp-servers/{id}/reject", tag = "mcp-servers", params(IfMatch, ("id" = Uuid, Path)), request_body = Rejection, responses((status = 200, body = McpServer)))]
pub(crate) async fn reject(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(rejection): Body<Rejection>,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::ChangeMcp)?;
    check::text("reason", &rejection.reason, 10_000)?;
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, _: McpServer| {
            let sql = "UPDATE mcp_servers SET status = 'rejected', rejection_reason = $2, approved_by = NULL, approved_at = NULL
                WHERE id = $1 RETURNING id";
            transaction
                .one(sql, &[&id, &rejection.reason])
                .await
                .map(drop)
        },
    )
    .await
}

/// Looks at an MCP server: its tools are stored with a level of risk each, and what was found is in `security_scan_results`. A server
/// that can't be looked at has failed. Takes 10 s at the most.
#[utoipa::path(post, operation_id = "mcp_servers_scan", path = "/mcp-servers/{id}/scan", tag = "mcp-servers", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = McpServer)))]
pub(crate) async fn scan(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Tagged<McpServer>> {
    caller.may(Act::ChangeMcp)?;
    let tasks = shared.mcp.tasks.clone();
    // Whether or not the caller stays to hear of it: what was begun is ended.
    let scanning = tasks.spawn(async move { run(&shared, &caller, id, &if_match).await });
    let done = scanning.await;
    done.unwrap_or_else(|_| {
        Err(ApiError::conflict(
            "scan_interrupted",
            "the scan broke off: begin it again in a minute",
        ))
    })
}

async fn run(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    if_match: &IfMatch,
) -> Result<Tagged<McpServer>> {
    let scan_id = Uuid::now_v7();
    let begun = Transaction::within(&shared.pool, caller, async |transaction| {
        let found = listing::lock::<McpServer>(transaction, caller, id).await?;
        if_match.check(&found)?;
        let sql = "SELECT org_id FROM projects WHERE id = $1";
        let org_id = transaction.one(sql, &[&found.project_id]).await?;
        let place = shared.scans.take(org_id.try_get(0)?).ok_or_else(|| {
            ApiError::busy(
                "scans_busy",
                "too many scans run now: try again in a moment",
            )
        })?;
        let subject = store::begin(transaction, id, scan_id).await?;
        Ok((place, subject))
    });
    let (_place, subject) = begun.await?;
    let seen = scanning::look(subject, &shared.mcp).await;
    let ending = Ending { id, scan_id };
    changes::change_by(
        shared,
        caller,
        id,
        &IfMatch::any(),
        async |transaction, _: McpServer| ending.store(transaction, seen).await,
    )
    .await
}
