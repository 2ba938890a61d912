//! The admin API's place in the process: its listener and its way to the database.

mod secrets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use admin_api::{AdminApi, Connect, ConnectError, McpOptions};
use domain::{Clock, Prices};
use ingest::Database;
use tokio::net::TcpListener;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::secrets::Secrets;
use crate::config::{McpConfig, environment};

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
    pub(crate) mcp: McpConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) tasks: TaskTracker,
}

impl Admin {
    /// Serves it until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let mcp = McpOptions {
            allowed_networks: self.mcp.allowed_networks,
            secrets: Arc::new(Secrets::new(&environment(), self.mcp.secrets_dir)),
            tasks: self.tasks.clone(),
        };
        let connections = Connections {
            database: self.database,
            tasks: self.tasks,
        };
        let api = AdminApi::new(Arc::new(connections), self.clock)
            .with_mcp(mcp)
            .with_prices(self.prices);
        api.serve(listener, stop).await;
    }
}
