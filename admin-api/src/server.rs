//! The listener: routes, what surrounds them, and its end.

use std::sync::Arc;

use axum::{Json, Router, middleware};
use domain::{Clock, Prices};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::database::{Connect, Pool};
use crate::error::ApiError;
use crate::identify::identify;
use crate::listener::{Bounded, Peer};
use crate::mcp::{McpOptions, Places};
use crate::{document, reports, resources, whoami};

/// What every request needs.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whose turn it is to compile rules.
    pub(crate) compiling: Arc<Semaphore>,
    pub(crate) mcp: McpOptions,
    /// For scans that run.
    pub(crate) scans: Places,
    /// The prices in force.
    pub(crate) prices: Arc<Prices>,
}

/// The control plane.
#[derive(Debug)]
pub struct AdminApi {
    shared: Shared,
}

impl AdminApi {
    /// Nothing is connected before the first request.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Shared {
                pool: Pool::new(connect),
                clock,
                compiling: Arc::new(Semaphore::new(1)),
                mcp: McpOptions::default(),
                scans: Places::default(),
                prices: Arc::default(),
            },
        }
    }

    /// What scans of MCP servers may reach and use; without it, public addresses and no secrets.
    #[must_use]
    pub fn with_mcp(mut self, options: McpOptions) -> Self {
        self.shared.mcp = options;
        self
    }

    /// The prices by which reports take a cost apart; without them, only those of the build.
    #[must_use]
    pub fn with_prices(mut self, prices: Arc<Prices>) -> Self {
        self.shared.prices = prices;
        self
    }

    /// Serves until `stop`; requests that run then may end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let (routes, document) = routes().split_for_parts();
        let document = Json(document::complete(document));
        let open = Router::new().route(
            "/admin/v1/openapi.json",
            axum::routing::get(move || std::future::ready(document.clone())),
        );
        let service = routes
            .with_state(self.shared)
            .merge(open)
            .fallback(|| std::future::ready(ApiError::path_unknown()))
            .method_not_allowed_fallback(|| std::future::ready(ApiError::method_unknown()))
            .layer(middleware::from_fn(identify))
            .into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(Bounded::new(listener), service)
            .with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin API's listener ended");
        }
    }
}

fn routes() -> OpenApiRouter<Shared> {
    let resources = OpenApiRouter::new()
        .routes(routes!(whoami::whoami))
        .merge(resources::routes());
    OpenApiRouter::with_openapi(document::begin())
        .nest("/admin/v1", resources)
        .nest("/v1/organizations", reports::routes())
}

/// The `OpenAPI` document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    document::complete(routes().split_for_parts().1)
}
