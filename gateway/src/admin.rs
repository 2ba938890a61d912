//! The admin API's place in the process: its thread, its listener and its way to the database.
//!
//! Guarantees: what it does is done on a thread of its own. Neither requests nor what stores their usage waits for its tasks.

mod in_force;
mod secrets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::{io, thread};

use admin_api::{AdminApi, Connect, ConnectError, InForce, McpOptions};
use domain::{Clock, Prices};
use ingest::Database;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::runtime;
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
    /// Serves it until `stop`, on a thread that counts as one of the tasks.
    ///
    /// # Errors
    /// If there can't be another thread.
    pub(crate) fn start(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = listener.into_std()?;
        let running = self.tasks.token();
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(self.serve(listener, stop));
                drop(running);
            })?;
        Ok(())
    }

    async fn serve(self, listener: std::net::TcpListener, stop: CancellationToken) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the admin API can't listen");
                return;
            }
        };
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
