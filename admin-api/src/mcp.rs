//! MCP servers: how they are reached, what they offer, and what is to be thought of it.
//!
//! A scan only reads. A server on the network is asked for its tools under the guard of [`guard`] and the bounds of [`wire`]; one that is
//! started as a command is judged by its manifest, and nothing is ever started here.

pub(crate) mod client;
pub(crate) mod guard;
pub(crate) mod offer;
pub(crate) mod risk;
mod rpc;
pub(crate) mod scan;
pub(crate) mod secrets;
mod sse;
pub(crate) mod store;
pub(crate) mod transport;
mod wire;

use std::sync::Arc;

use ipnet::IpNet;
use tokio_util::task::TaskTracker;

/// Where the secrets of organizations are kept.
pub trait SecretStore: std::fmt::Debug + Send + Sync + 'static {
    /// A secret of one organization, never of another or of the gateway itself. May block.
    fn get(&self, org_slug: &str, name: &str) -> Option<String>;
}

/// What scans need of the process.
#[derive(Debug, Clone)]
pub struct McpOptions {
    /// `mcp.allowed_networks`: networks that scans may reach though they aren't public.
    pub allowed_networks: Vec<IpNet>,
    /// For `${secrets.NAME}`.
    pub secrets: Arc<dyn SecretStore>,
    /// Scans end even if nobody waits for them any more.
    pub tasks: TaskTracker,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self {
            allowed_networks: Vec::new(),
            secrets: Arc::new(NoSecrets),
            tasks: TaskTracker::new(),
        }
    }
}

/// There are none.
#[derive(Debug)]
struct NoSecrets;

impl SecretStore for NoSecrets {
    fn get(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}
