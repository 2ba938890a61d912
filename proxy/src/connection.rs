//! One caller's connection: HTTP/1.1, or HTTP/2 by prior knowledge or ALPN.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::options::Options;
use crate::pipeline::{Peer, handle};
use crate::request_body::Discard;
use crate::rescue;
use crate::response_body::ResponseBody;
use crate::worker::Worker;

const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After shutdown began, so long a caller that has just connected may take for its request.
const LAST_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// Read so much of a head before giving up, so that one that is merely over the limit gets an answer in shape.
const HEAD_BUFFER_BYTES: usize = 512 << 10;

/// As with bytes: above what is sensible, so that the limit on bytes is the one that answers.
const MAX_HEADERS: usize = 512;

/// Whether a connection is served, or only told that there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    Free,
    Taken,
}

/// Runs hyper's HTTP/2 tasks on the thread they belong to.
#[derive(Debug, Clone)]
struct LocalExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        // Tracked, and ended with the connection.
        drop(self.0.spawn_local(task));
    }
}

/// Serves a connection until it ends; after `stop`, until its running requests have.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    address: SocketAddr,
    seat: Seat,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let _open = worker.metrics.connection();
    let tls = worker.options.tls.clone();
    let peer = Peer {
        address: address.ip(),
        tls: tls.is_some(),
    };
    match tls {
        None => {
            let by = Instant::now() + Options::HEADER_TIMEOUT;
            let heard = tokio::time::timeout_at(by, Spoken::heard(&stream));
            let spoken = tokio::select! {
                biased;
                heard = heard => heard,
                () = grace_after(&stop) => return,
            };
            if let Ok(spoken) = spoken {
                serve_http(worker, stream, (spoken, by), peer, seat, stop, tasks).await;
            }
        }
        Some(config) => {
            let handshake = TlsAcceptor::from(Arc::clone(&config)).accept(stream);
            let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake);
            let shaken = tokio::select! {
                biased;
                shaken = handshake => shaken,
                () = grace_after(&stop) => return,
            };
            match shaken {
                Ok(Ok(stream)) => {
                    let spoken = Spoken::agreed(stream.get_ref().1.alpn_protocol());
                    let by = Instant::now() + Options::HEADER_TIMEOUT;
                    let serving = serve_http(worker, stream, (spoken, by), peer, seat, stop, tasks);
                    Box::pin(serving).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        }
    }
}

async fn serve_http<S>(
    worker: Rc<Worker>,
    stream: S,
    (spoken, first_by): (Spoken, Instant),
    peer: Peer,
    seat: Seat,
    stop: CancellationToken,
    tasks: TaskTracker,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let first_request = Rc::new(Milestone::default());
    let seen = Rc::clone(&first_request);
    let service = service_fn(move |request: Request<Incoming>| {
        seen.reach();
        let worker = Rc::clone(&worker);
        async move {
            Ok::<_, Infallible>(match seat {
                // By itself it is gone when the answer begins, and not when the connection ends.
                Seat::Free => Box::pin(handle(worker, peer, request)).await,
                Seat::Taken => Box::pin(refuse(&worker, request.into_body())).await,
            })
        }
    });
    let builder = match spoken {
        Spoken::Http1 => builder(tasks).http1_only(),
        Spoken::Http2 => builder(tasks).http2_only(),
        Spoken::Unknown => builder(tasks),
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Looked at only when there is something to say, and not whenever the connection has.
    let mut others = FuturesUnordered::from_iter([other(seat, &first_request, first_by, &stop)]);
    let ended = tokio::select! {
        // What the caller has already sent is looked at before anything else.
        biased;
        ended = connection.as_mut() => ended,
        Some(other) = others.next() => match other {
            Other::Close => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            Other::GiveUp => return,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended early");
    }
}

/// What a caller speaks, where that is known before it is read: who reads to find out has a buffer twice as large from then on.
#[derive(Debug, Clone, Copy)]
enum Spoken {
    Http1,
    Http2,
    Unknown,
}

impl Spoken {
    /// By the first bytes, which stay where they are.
    async fn heard(stream: &TcpStream) -> Self {
        const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let mut first = [0; PREFACE.len()];
        let length = stream.peek(&mut first).await.unwrap_or(0);
        match first.get(..length) {
            Some(heard) if *heard == *PREFACE => Self::Http2,
            Some(heard) if PREFACE.starts_with(heard) => Self::Unknown,
            Some(_) | None => Self::Http1,
        }
    }

    /// By what was agreed upon in a TLS handshake.
    fn agreed(protocol: Option<&[u8]>) -> Self {
        match protocol {
            Some(b"h2") => Self::Http2,
            Some(b"http/1.1") => Self::Http1,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// What may end a connection from outside.
enum Other {
    Close,
    GiveUp,
}

/// Whichever comes first.
async fn other(
    seat: Seat,
    first_request: &Milestone,
    first_by: Instant,
    stop: &CancellationToken,
) -> Other {
    tokio::select! {
        () = closing(seat, first_request, stop) => Other::Close,
        () = first_request.missed(first_by) => Other::GiveUp,
    }
}

/// When a connection shall take no further request: at shutdown, or once it has been told that there is no
/// seat. At shutdown a request that is on its way may still arrive.
async fn closing(seat: Seat, first_request: &Milestone, stop: &CancellationToken) {
    if seat == Seat::Taken {
        return first_request.reached().await;
    }
    stop.cancelled().await;
    // Reached or not, it closes now.
    let _arrived = tokio::time::timeout(LAST_REQUEST_GRACE, first_request.reached()).await;
}

/// Ends some time after shutdown began.
async fn grace_after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_REQUEST_GRACE).await;
}

/// Something that happens once.
#[derive(Debug, Default)]
struct Milestone {
    done: Cell<bool>,
    news: Notify,
}

impl Milestone {
    fn reach(&self) {
        if !self.done.replace(true) {
            self.news.notify_waiters();
        }
    }

    async fn reached(&self) {
        while !self.done.get() {
            self.news.notified().await;
        }
    }

    /// Ends if it wasn't reached by then, and never otherwise.
    async fn missed(&self, by: Instant) {
        if tokio::time::timeout_at(by, self.reached()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

fn builder(tasks: TaskTracker) -> auto::Builder<LocalExecutor> {
    let mut builder = auto::Builder::new(LocalExecutor(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Options::HEADER_TIMEOUT)
        .max_buf_size(HEAD_BUFFER_BYTES)
        .max_headers(MAX_HEADERS)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BUFFER_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(30));
    builder
}

/// One answer for a connection too many, and its end.
async fn refuse(worker: &Rc<Worker>, body: Incoming) -> Response<ResponseBody> {
    Discard::BRIEF.discard(body).await;
    let mut response = rescue::answer(Exchange::begin(worker), Failure::Overloaded).await;
    response
        .headers_mut()
        .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}
