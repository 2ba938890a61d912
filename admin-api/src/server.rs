//! The listener: routes, what surrounds them, and its end.

use std::sync::Arc;

use axum::{Json, Router, middleware};
use domain::{Clock, Prices};
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::data_plane::InForce;
use crate::database::{Connect, Pool};
use crate::error::ApiError;
use crate::identify::identify;
use crate::login::{Passwords, Throttles, Vault};
use crate::mcp::McpOptions;
use crate::places::Places;
use crate::{document, listener, login, reference, reports, resources, whoami};

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
    /// What decides about requests.
    pub(crate) in_force: Option<InForce>,
    /// For dry runs on one request.
    pub(crate) dry_runs: Places,
    /// For dry runs over requests that were made.
    pub(crate) replays: Places,
    /// For who reads what is left of budgets.
    pub(crate) budgets: Places,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) passwords: Passwords,
    pub(crate) throttles: Arc<Throttles>,
    /// For the secrets of second factors.
    pub(crate) vault: Vault,
    /// The prices in force.
    pub(crate) prices: Arc<Prices>,
}

/// The control plane.
#[derive(Debug)]
pub struct AdminApi {
    shared: Shared,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl AdminApi {
    /// Nothing is connected before the first request.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Shared {
                pool: Pool::new(connect),
                throttles: Arc::new(Throttles::new(Arc::clone(&clock))),
                clock,
                compiling: Arc::new(Semaphore::new(1)),
                mcp: McpOptions::default(),
                scans: Places::default(),
                in_force: None,
                dry_runs: Places::default(),
                replays: Places::few(),
                budgets: Places::one_each(),
                trusted_proxies: Arc::default(),
                passwords: Passwords::default(),
                vault: Vault::default(),
                prices: Arc::default(),
            },
            tls: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn shared(self) -> Shared {
        self.shared
    }

    /// What only reads goes to a replica, where it is there.
    #[must_use]
    pub fn with_replica(mut self, connect: Option<Arc<dyn Connect>>) -> Self {
        if let Some(connect) = connect {
            self.shared.pool = self.shared.pool.with_replica(connect);
        }
        self
    }

    /// Speaks TLS, and nothing else. Of ALPN's protocols it has `http/1.1` only.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        self.tls = tls;
        self
    }

    /// What scans of MCP servers may reach and use; without it, public addresses and no secrets.
    #[must_use]
    pub fn with_mcp(mut self, options: McpOptions) -> Self {
        self.shared.mcp = options;
        self
    }

    /// The data plane of this process, which dry runs and what is left of budgets are read from; without it there are none.
    #[must_use]
    pub fn with_data_plane(mut self, in_force: InForce) -> Self {
        self.shared.in_force = Some(in_force);
        self
    }

    /// Whom to believe where a caller comes from; without it, nobody.
    #[must_use]
    pub fn behind(mut self, trusted_proxies: Vec<IpNet>) -> Self {
        self.shared.trusted_proxies = trusted_proxies.into();
        self
    }

    /// What the secrets of second factors are sealed with in the database; without it they are plain there.
    #[must_use]
    pub fn with_mfa_key(mut self, key: &str) -> Self {
        self.shared.vault = Vault::new(key);
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
        let routes = routes
            .with_state(self.shared)
            .merge(open)
            .merge(reference::page())
            .fallback(|| std::future::ready(ApiError::path_unknown()))
            .method_not_allowed_fallback(|| std::future::ready(ApiError::method_unknown()))
            .layer(middleware::from_fn(identify));
        let tls = self.tls.map(TlsAcceptor::from);
        listener::serve(listener, tls, routes, stop).await;
    }
}

fn routes() -> OpenApiRouter<Shared> {
    let resources = OpenApiRouter::new()
        .routes(routes!(whoami::whoami))
        .merge(login::routes())
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
