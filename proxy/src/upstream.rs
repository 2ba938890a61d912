//! Connections to the Claude API: pooled, kept alive, one pool a data-plane thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioTimer;
use tokio::time::Instant;
use tower_service::Service;

use crate::counted_io::{CountedIo, OpenConnections};
use crate::forward_body::ForwardBody;
use crate::upload::UploadWatch;

/// What the upstream's end doesn't acknowledge for this long is lost, and the connection with it.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(60);
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// A stream whose caller doesn't read holds back no more than this, and far less than the connection's.
const HTTP2_STREAM_WINDOW: u32 = 1 << 20;
const HTTP2_CONNECTION_WINDOW: u32 = 256 << 20;

/// How to speak to upstreams.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// HTTP/2 instead of HTTP/1.1.
    pub http2: bool,
    /// For the TCP connection.
    pub connect_timeout: Duration,
    /// From the end of the request to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Between two pieces of the answer.
    pub idle_timeout: Duration,
    /// Which certificates are trusted.
    pub tls: rustls::ClientConfig,
}

/// An upstream, and the credential it knows us by.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end; usually empty.
    path_prefix: String,
    credential: Option<(HeaderName, HeaderValue)>,
}

/// An upstream's URL or key can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute URL.
    #[error("the URL must be absolute, as in https://api.anthropic.com")]
    NotAbsolute,
    /// Not one we speak.
    #[error("the scheme must be http or https")]
    Scheme,
    /// A query has no meaning here.
    #[error("the URL must have no query")]
    Query,
    /// Control characters, mostly a line's end from a file.
    #[error("the API key has characters that no header may have")]
    Key,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Target({}://{}{})",
            self.scheme, self.authority, self.path_prefix
        )
    }
}

impl Target {
    /// An upstream at a base URL. Without a key nothing is sent in the place of the caller's.
    ///
    /// # Errors
    /// If the URL isn't `http(s)://host[:port][/prefix]`, or the key can't stand in a header.
    pub fn new(base_url: &str, api_key: Option<&str>) -> Result<Self, TargetError> {
        let uri: Uri = base_url.parse().map_err(|_| TargetError::NotAbsolute)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(TargetError::NotAbsolute);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(TargetError::Scheme);
        }
        let path = parts
            .path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(TargetError::Query);
        }
        let path_prefix = path.path().trim_end_matches('/').to_owned();
        let credential = api_key.map(credential).transpose()?;
        Ok(Self {
            scheme,
            authority,
            path_prefix,
            credential,
        })
    }

    /// Puts our credential where the caller's was.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.credential {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The URI of a request here. Costs a copy of the path only where there is a prefix.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Result<Uri, http::Error> {
        let builder = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        if self.path_prefix.is_empty() {
            builder.path_and_query(path.clone()).build()
        } else {
            builder
                .path_and_query(format!("{}{path}", self.path_prefix))
                .build()
        }
    }
}

/// OAuth tokens must go as bearer tokens; API keys may go either way.
fn credential(api_key: &str) -> Result<(HeaderName, HeaderValue), TargetError> {
    let (name, text) = if api_key.starts_with("sk-ant-oat") {
        (http::header::AUTHORIZATION, format!("Bearer {api_key}"))
    } else {
        (HeaderName::from_static("x-api-key"), api_key.to_owned())
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| TargetError::Key)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no connection to the upstream")]
    Connect(#[source] ClientError),
    #[error("the upstream broke off before it answered")]
    Broken(#[source] ClientError),
    #[error("the upstream did not answer in time")]
    Silent,
}

/// One thread's connections to all upstreams.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<CountedConnector, ForwardBody>,
    first_byte_timeout: Duration,
}

impl Upstream {
    pub(crate) fn new(options: &UpstreamOptions, open: OpenConnections) -> Self {
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
        let client = Client::builder(OnThisThread)
            .http2_only(options.http2)
            .http2_keep_alive_interval(Some(HTTP2_PING_INTERVAL))
            .http2_keep_alive_timeout(HTTP2_PING_INTERVAL)
            .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(CountedConnector {
                connector,
                timeout: options.connect_timeout,
                open,
            });
        Self {
            client,
            first_byte_timeout: options.first_byte_timeout,
        }
    }

    /// Sends a request and waits for the head of the answer. The clock starts when the body has been sent.
    pub(crate) async fn send(
        &self,
        request: Request<ForwardBody>,
        upload: Option<&UploadWatch>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut answer = std::pin::pin!(self.client.request(request));
        let mut since = Instant::now();
        loop {
            match tokio::time::timeout_at(since + self.first_byte_timeout, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) if error.is_connect() => return Err(SendError::Connect(error)),
                Ok(Err(error)) => return Err(SendError::Broken(error)),
                Err(_) => match upload.map(|upload| (upload.finished_at(), upload.is_moving())) {
                    // The caller is still sending; how slowly it may do so is another limit's business.
                    Some((None, true)) => since = Instant::now(),
                    Some((Some(finished), _)) if finished > since => since = finished,
                    Some(_) | None => return Err(SendError::Silent),
                },
            }
        }
    }
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

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

/// Counts the connections that the inner connector makes, for as long as they are open.
#[derive(Clone)]
struct CountedConnector {
    connector: HttpsConnector<HttpConnector>,
    /// Until the connection can be used, TLS included.
    timeout: Duration,
    open: OpenConnections,
}

type Connection = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
type ConnectError = <HttpsConnector<HttpConnector> as Service<Uri>>::Error;

impl Service<Uri> for CountedConnector {
    type Response = CountedIo<Connection>;
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
            Ok(CountedIo::new(
                connected.map_err(|_| "connecting took too long")??,
                &open,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: &str, path: &str, expected: &str) {
        let target = Target::new(base_url, None).unwrap();
        let uri = target.uri(&path.parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), expected);
    }

    #[test]
    fn a_path_is_put_behind_the_base_url_as_it_is() {
        check(
            "https://api.anthropic.com",
            "/v1/messages?beta=true",
            "https://api.anthropic.com/v1/messages?beta=true",
        );
        check(
            "http://127.0.0.1:80/claude/",
            "/v1/m%2Fx?a=%20",
            "http://127.0.0.1:80/claude/v1/m%2Fx?a=%20",
        );
    }

    #[test]
    fn a_base_url_must_be_absolute_and_plain() {
        assert_eq!(
            Target::new("api.anthropic.com", None),
            Err(TargetError::NotAbsolute)
        );
        assert_eq!(Target::new("ftp://host", None), Err(TargetError::Scheme));
        assert_eq!(
            Target::new("https://host/?a", None),
            Err(TargetError::Query)
        );
        assert_eq!(
            Target::new("https://host", Some("a\nb")),
            Err(TargetError::Key)
        );
    }

    #[test]
    fn oauth_tokens_go_as_bearer_tokens() {
        for (key, name, value) in [
            ("sk-ant-api03-x", "x-api-key", "sk-ant-api03-x"),
            ("sk-ant-oat01-x", "authorization", "Bearer sk-ant-oat01-x"),
        ] {
            let mut headers = HeaderMap::new();
            Target::new("https://host", Some(key))
                .unwrap()
                .authorize(&mut headers);
            assert_eq!(headers.get(name).unwrap(), value);
        }
    }
}
