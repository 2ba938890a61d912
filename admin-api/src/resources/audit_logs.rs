//! `/admin/v1/audit-logs`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::Result;
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::Paged;
use crate::role::Act;
use crate::server::Shared;
use crate::transaction::Transaction;

/// That something was changed, and by whom.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    id: Uuid,
    /// `audit_log`
    r#type: &'static str,
    time: DateTime<Utc>,
    /// `user`, `api_key` (an admin key that is no user's), `system` (the command line, SQL, the gateway itself) or `webhook`
    actor_type: String,
    /// The user, or the admin key.
    actor_id: Option<Uuid>,
    /// What it was done with: `admin_key` or `session`; null where it was neither.
    actor_key_type: Option<String>,
    /// That key or session.
    actor_key_id: Option<Uuid>,
    actor_ip: Option<String>,
    actor_user_agent: Option<String>,
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    /// `<table>.<verb>`
    action: String,
    resource_type: String,
    resource_id: Option<Uuid>,
    /// `created`, `deleted`, or what was old and is new of each field; secrets left out.
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    /// The `request-id` of the answer to whoever did it.
    request_id: Option<Uuid>,
    /// Whether a secret was among what changed.
    sensitive: bool,
}

impl Listed for AuditLog {
    const TABLE: &'static str = "audit_logs";
    const NAME: &'static str = "audit log";
    const OF_ORG: &'static str = "t.org_id = ?";
    const SINCE: &'static str = "time";
    const COLUMNS: &'static str = "t.id, t.time, t.actor_type, t.actor_id, t.actor_key_type, t.actor_key_id, host(t.actor_ip) AS actor_ip, \
        t.actor_user_agent, t.org_id, t.project_id, t.action, t.resource_type, t.resource_id, t.changes, t.request_id, \
        t.sensitive";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "audit_log",
            time: row.try_get("time")?,
            actor_type: row.try_get("actor_type")?,
            actor_id: row.try_get("actor_id")?,
            actor_key_type: row.try_get("actor_key_type")?,
            actor_key_id: row.try_get("actor_key_id")?,
            actor_ip: row.try_get("actor_ip")?,
            actor_user_agent: row.try_get("actor_user_agent")?,
            org_id: row.try_get("org_id")?,
            project_id: row.try_get("project_id")?,
            action: row.try_get("action")?,
            resource_type: row.try_get("resource_type")?,
            resource_id: row.try_get("resource_id")?,
            changes: row.try_get("changes")?,
            request_id: row.try_get("request_id")?,
            sensitive: row.try_get("sensitive")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    actor_id: Option<Uuid>,
    actor_key_id: Option<Uuid>,
    action: Option<String>,
    resource_type: Option<String>,
    resource_id: Option<Uuid>,
    request_id: Option<Uuid>,
    /// From this moment on.
    since: Option<DateTime<Utc>>,
    /// Before this moment.
    until: Option<DateTime<Utc>>,
}

/// What was changed and by whom, the newest first.
#[utoipa::path(get, operation_id = "audit_logs_list", path = "/audit-logs", tag = "audit-logs", params(Part, Query), responses((status = 200, body = Page<AuditLog>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<AuditLog>>> {
    caller.may(Act::ReadAuditLogs)?;
    let mut filter = Filter::visible::<AuditLog>(&caller);
    filter.and_if("t.org_id = ?", query.org_id);
    filter.and_if("t.project_id = ?", query.project_id);
    filter.and_if("t.actor_id = ?", query.actor_id);
    filter.and_if("t.actor_key_id = ?", query.actor_key_id);
    filter.and_if("t.action = ?", query.action);
    filter.and_if("t.resource_type = ?", query.resource_type);
    filter.and_if("t.resource_id = ?", query.resource_id);
    filter.and_if("t.request_id = ?", query.request_id);
    filter.and_if("t.time >= ?", query.since);
    filter.and_if("t.time < ?", query.until);
    let page = Transaction::read_unguarded(&shared.pool, &caller, async |transaction| {
        listing::page(transaction, &caller, filter, part).await
    });
    page.await.map(Json)
}
