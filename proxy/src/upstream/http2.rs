//! HTTP/2 to upstreams: hyper's own client, which has one connection for all requests to a server.

use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;

use super::connector::CountedConnector;
use crate::forward_body::ForwardBody;

const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A stream whose caller doesn't read holds back no more than this, and far less than the connection's.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 256 << 20;

pub(super) type Http2 = Client<CountedConnector, ForwardBody>;

pub(super) fn client(connector: CountedConnector) -> Http2 {
    Client::builder(OnThisThread)
        .http2_only(true)
        .http2_keep_alive_interval(Some(PING_INTERVAL))
        .http2_keep_alive_timeout(PING_INTERVAL)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector)
}

/// Runs the tasks of connections to upstreams beside those of callers, in their order: who waits for what has arrived on one has it
/// after the next turn.
#[derive(Debug, Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        // Nobody waits for it at shutdown: it may be a connection that waits for its next request.
        drop(tokio::task::spawn_local(task));
    }
}
