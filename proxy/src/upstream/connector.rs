//! Makes connections to upstreams, TLS where it is asked for, and counts them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use super::UpstreamOptions;
use crate::counted_io::{CountedIo, OpenConnections};

/// What the upstream's end doesn't acknowledge for this long is lost, and the connection with it.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(60);

/// Counts the connections that the inner connector makes, for as long as they are open.
#[derive(Clone)]
pub(super) struct CountedConnector {
    connector: HttpsConnector<HttpConnector>,
    /// Until the connection can be used, TLS included.
    timeout: Duration,
    open: OpenConnections,
}

impl CountedConnector {
    pub(super) fn new(options: &UpstreamOptions, open: OpenConnections) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(options.connect_timeout));
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(options.tls.clone())
            .https_or_http();
        let connector = if options.http2 {
            tls.enable_http2().wrap_connector(tcp)
        } else {
            tls.enable_http1().wrap_connector(tcp)
        };
        Self {
            connector,
            timeout: options.connect_timeout,
            open,
        }
    }
}

pub(super) type ConnectError = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;

impl Service<Uri> for CountedConnector {
    type Response = CountedIo;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, ctx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(ctx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.connector.call(target);
        let open = self.open.clone();
        let timeout = self.timeout;
        Box::pin(async move {
            let connected = tokio::time::timeout(timeout, connecting).await;
            Ok(match connected.map_err(|_| "connecting took too long")?? {
                MaybeHttpsStream::Http(tcp) => CountedIo::new(tcp, &open),
                tls @ MaybeHttpsStream::Https(_) => CountedIo::new(tls, &open),
            })
        })
    }
}
