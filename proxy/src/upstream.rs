//! Connections to the Claude API: kept alive, one pool a data-plane thread.
//!
//! In HTTP/1.1 a connection belongs to one request at a time, and is worked by the request's own task: what has arrived on it is
//! there at once, without a wake-up between one task and another, and what hasn't isn't waited for. Only where an answer comes
//! before all of the request was sent, the connection gets a task of its own.

mod body;
mod connector;
mod http2;
mod line;
mod pool;
mod target;
#[cfg(test)]
mod testing;

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;

pub(crate) use self::body::{BodyError, UpstreamBody};
use self::connector::CountedConnector;
use self::http2::Http2;
use self::pool::Pool;
pub use self::target::{Target, TargetError};
use crate::counted_io::OpenConnections;
use crate::forward_body::ForwardBody;
use crate::upload::UploadWatch;

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

/// What went wrong, as a library tells it.
type Source = Box<dyn Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no connection to the upstream")]
    Connect(#[source] Source),
    #[error("the upstream broke off before it answered")]
    Broken(#[source] Source),
    #[error("the upstream did not answer in time")]
    Silent,
}

/// One thread's connections to all upstreams.
pub(crate) struct Upstream {
    transport: Transport,
    first_byte_timeout: Duration,
}

enum Transport {
    Http1(Rc<Pool>),
    Http2(Box<Http2>),
}

impl Upstream {
    pub(crate) fn new(options: &UpstreamOptions, open: OpenConnections) -> Self {
        let connector = CountedConnector::new(options, open);
        let transport = if options.http2 {
            Transport::Http2(Box::new(http2::client(connector)))
        } else {
            Transport::Http1(Rc::new(Pool::new(connector)))
        };
        Self {
            transport,
            first_byte_timeout: options.first_byte_timeout,
        }
    }

    /// Closes connections that nobody has used for a while. It never ends.
    pub(crate) async fn tidy(&self) {
        match &self.transport {
            Transport::Http1(pool) => pool.tidy().await,
            Transport::Http2(_) => std::future::pending().await,
        }
    }

    /// Sends a request and waits for the head of the answer. The clock starts when the body has been sent.
    pub(crate) async fn send(
        &self,
        target: &Target,
        request: Box<Request<ForwardBody>>,
        upload: Option<&UploadWatch>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let mut answer = std::pin::pin!(self.answer(target, request));
        let mut since = Instant::now();
        loop {
            match tokio::time::timeout_at(since + self.first_byte_timeout, &mut answer).await {
                Ok(answer) => {
                    let is_sent = upload.is_none_or(|upload| upload.finished_at().is_some());
                    let body = |body: UpstreamBody| if is_sent { body } else { body.apart() };
                    return answer.map(|answer| answer.map(body));
                }
                Err(_) => match upload.map(|upload| (upload.finished_at(), upload.is_moving())) {
                    // The caller is still sending; how slowly it may do so is another limit's business.
                    Some((None, true)) => since = Instant::now(),
                    Some((Some(finished), _)) if finished > since => since = finished,
                    Some(_) | None => return Err(SendError::Silent),
                },
            }
        }
    }

    async fn answer(
        &self,
        target: &Target,
        request: Box<Request<ForwardBody>>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        match &self.transport {
            Transport::Http1(pool) => pool.send(target, request).await,
            Transport::Http2(client) => match Box::pin(client.request(*request)).await {
                Ok(answer) => Ok(answer.map(UpstreamBody::from)),
                Err(error) if error.is_connect() => Err(SendError::Connect(error.into())),
                Err(error) => Err(SendError::Broken(error.into())),
            },
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}
