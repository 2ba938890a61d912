//! The data plane's settings, validated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::keys::OnClientDisconnect;
use crate::upstream::UpstreamOptions;

/// Settings of the data plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where callers connect. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Data-plane threads.
    pub threads: usize,
    /// Connections of callers at once, over all threads.
    pub max_connections: usize,
    /// The largest request body of any endpoint, in bytes.
    pub max_body_bytes: u64,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long running answers may take after shutdown began.
    pub drain: Duration,
    /// What becomes of an answer whose caller has left, where a project doesn't say.
    pub on_client_disconnect: OnClientDisconnect,
    /// TLS for callers; plain HTTP without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How to speak to upstreams.
    pub upstream: UpstreamOptions,
}

impl Options {
    /// Bytes of a request's headers at the most.
    pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;
    /// How long a connection may be idle, or take to send the head of a request.
    pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(120);
    /// How long a caller may send nothing in the middle of a body.
    pub(crate) const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
    /// How long an answer may take to its end once its caller has left.
    pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(600);
    /// Such answers at once, on one thread.
    pub(crate) const MAX_DRAINED: usize = 256;
    /// Bytes of request bodies held in memory at once, over all threads.
    pub(crate) const MAX_HELD_BODY_BYTES: usize = 1 << 30;
}
