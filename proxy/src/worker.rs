//! What one data-plane thread has: its own upstream connections, lane and metric handles, and read access
//! to what all threads share.

use std::cell::Cell;
use std::sync::Arc;

use domain::Clock;
use ingest::Lane;
use policy_engine::Engine;
use tokio_util::task::TaskTracker;

use crate::body_budget::BodyBudget;
use crate::keys::KeyIndex;
use crate::mcp::McpRegistry;
use crate::metrics::Metrics;
use crate::objects::UpstreamObjects;
use crate::options::Options;
use crate::refusals::Refusals;
use crate::spending::Spending;
use crate::upstream::Upstream;
use domain::Prices;

/// One data-plane thread's belongings.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) options: Arc<Options>,
    pub(crate) keys: Arc<KeyIndex>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) mcp_servers: Arc<McpRegistry>,
    pub(crate) objects: Arc<UpstreamObjects>,
    pub(crate) policies: Arc<Engine>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) spending: Arc<Spending>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bodies: Arc<BodyBudget>,
    pub(crate) lane: Lane,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: Metrics,
    /// What shutdown waits for.
    pub(crate) tasks: TaskTracker,
    /// Answers that are read on without their callers.
    pub(crate) drained: Cell<usize>,
    /// Set when the drain deadline has passed: what still runs is cut off.
    pub(crate) cut_off: Cell<bool>,
}
