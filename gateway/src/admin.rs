//! The admin API's place in the process: its listener and its way to the database.

mod secrets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use admin_api::{AdminApi, Connect, ConnectError, McpOptions};
use domain::Clock;
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

/// Serves it until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    database: Database,
    mcp: McpConfig,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mcp = McpOptions {
        allowed_networks: mcp.allowed_networks,
        secrets: Arc::new(Secrets::new(&environment(), mcp.secrets_dir)),
        tasks: tasks.clone(),
    };
    let connections = Connections { database, tasks };
    let api = AdminApi::new(Arc::new(connections), clock).with_mcp(mcp);
    api.serve(listener, stop).await;
}
