//! `GET /admin/v1/whoami`

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller::Caller;
use crate::role::Role;

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// `whoami`
    r#type: &'static str,
    admin_key_id: Uuid,
    name: String,
    /// Whose key it is, where it is somebody's.
    user_id: Option<Uuid>,
    /// null: the whole installation.
    org_id: Option<Uuid>,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
}

/// Who the caller is, and what it may do.
#[utoipa::path(get, path = "/whoami", tag = "callers", responses((status = 200, body = WhoAmI)))]
pub(crate) async fn whoami(caller: Caller) -> Json<WhoAmI> {
    Json(WhoAmI {
        r#type: "whoami",
        admin_key_id: caller.key_id,
        name: caller.key_name,
        user_id: caller.user_id,
        org_id: caller.org_id,
        role: caller.role,
        expires_at: caller.expires_at,
    })
}
