//! `GET /admin/v1/whoami`

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller::{Caller, Kind};
use crate::role::Role;

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// `whoami`
    r#type: &'static str,
    /// null: the caller is a session.
    admin_key_id: Option<Uuid>,
    /// null: the caller is an admin key.
    session_id: Option<Uuid>,
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
        admin_key_id: (caller.kind == Kind::AdminKey).then_some(caller.key_id),
        session_id: (caller.kind == Kind::Session).then_some(caller.key_id),
        name: caller.key_name,
        user_id: caller.user_id,
        org_id: caller.org_id,
        role: caller.role,
        expires_at: caller.expires_at,
    })
}
