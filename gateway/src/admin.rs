//! The admin API's place in the process: its listener and its way to the database.

mod in_force;
mod secrets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use admin_api::{AdminApi, Connect, ConnectError, InForce, McpOptions};
use domain::{Clock, Prices};
use ingest::Database;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::in_force::Judge;
use self::secrets::Secrets;
use crate::config::{McpConfig, Secret, environment};

/// Connections of its own, beside those that store and follow.
#[derive(Debug)]
struct Connections {
    database: Database,
    tasks: TaskTracker,
}

impl Connect for Connections {
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Client, ConnectError>> + Send + '_>> {
        Box::pin(async {
            let connected = self.database.connect(&self.tasks).await;
            connected.map_err(|error| ConnectError::Refused(Box::new(error)))
        })
    }
}

/// What it runs on.
pub(crate) struct Admin {
    pub(crate) database: Database,
    pub(crate) replica: Option<Database>,
    pub(crate) mcp: McpConfig,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) mfa_key: Option<Secret>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) tasks: TaskTracker,
    pub(crate) in_force: InForce,
}

impl Admin {
    /// Serves it until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let mcp = McpOptions {
            allowed_networks: self.mcp.allowed_networks,
            secrets: Arc::new(Secrets::new(&environment(), self.mcp.secrets_dir)),
            tasks: self.tasks.clone(),
        };
        let connect = |database| -> Arc<dyn Connect> {
            let tasks = self.tasks.clone();
            Arc::new(Connections { database, tasks })
        };
        let api = AdminApi::new(connect(self.database), self.clock)
            .with_replica(self.replica.map(connect))
            .with_mcp(mcp)
            .with_prices(self.prices)
            .with_tls(self.tls)
            .with_data_plane(self.in_force)
            .behind(self.trusted_proxies);
        let api = match &self.mfa_key {
            Some(Secret(key)) => api.with_mfa_key(key),
            None => api,
        };
        api.serve(listener, stop).await;
    }
}
