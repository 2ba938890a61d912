//! What there is to manage, a file each.

mod admin_keys;
mod api_keys;
mod audit_logs;
mod budgets;
mod invitations;
mod mcp_servers;
mod mcp_tools;
mod members;
mod organizations;
mod policies;
mod projects;
mod subscriptions;
pub(crate) mod usage;
mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::export;
use crate::server::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(organizations::list, organizations::create))
        .routes(routes!(
            organizations::show,
            organizations::update,
            organizations::delete
        ))
        .routes(routes!(members::list, members::create))
        .routes(routes!(members::show, members::update, members::delete))
        .routes(routes!(invitations::accept))
        .routes(routes!(
            subscriptions::show,
            subscriptions::put,
            subscriptions::delete
        ))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::update))
        .routes(routes!(users::reset_mfa))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::show, projects::update, projects::delete))
        .routes(routes!(projects::archive))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::show, api_keys::update))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(api_keys::rotate))
        .routes(routes!(admin_keys::list, admin_keys::create))
        .routes(routes!(admin_keys::show))
        .routes(routes!(admin_keys::revoke))
        .routes(routes!(audit_logs::list))
        .routes(routes!(mcp_servers::list, mcp_servers::create))
        .routes(routes!(
            mcp_servers::show,
            mcp_servers::update,
            mcp_servers::delete
        ))
        .routes(routes!(mcp_servers::approve))
        .routes(routes!(mcp_servers::reject))
        .routes(routes!(mcp_servers::scan))
        .routes(routes!(mcp_tools::list, mcp_tools::create))
        .routes(routes!(
            mcp_tools::show,
            mcp_tools::update,
            mcp_tools::delete
        ))
        .routes(routes!(usage::list))
        .routes(routes!(budgets::list))
        .routes(routes!(export::export))
        .routes(routes!(policies::list, policies::create))
        .routes(routes!(policies::validate))
        .routes(routes!(policies::dry_run::run))
        .routes(routes!(policies::show, policies::update, policies::delete))
}

/// That something is gone.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Deleted {
    id: uuid::Uuid,
    /// `<type>_deleted`
    r#type: &'static str,
}

impl Deleted {
    pub(crate) fn new(id: uuid::Uuid, r#type: &'static str) -> Self {
        Self { id, r#type }
    }
}
