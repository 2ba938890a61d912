//! One caller's connection: HTTP/1.1, or HTTP/2 by prior knowledge or ALPN.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use pin_project_lite::pin_project;
use rustls::ServerConfig;
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
    let caller = Caller {
        peer: Peer {
            address: address.ip(),
            tls: tls.is_some(),
        },
        worker,
        seat,
        stop,
        tasks,
    };
    match tls {
        None => caller.serve_plain(stream).await,
        // Apart: who comes without would have room for it as long as they are connected.
        Some(config) => Box::pin(caller.serve_tls(stream, config)).await,
    }
}

/// Who has connected.
struct Caller {
    worker: Rc<Worker>,
    peer: Peer,
    seat: Seat,
    /// Begins the shutdown.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Caller {
    async fn serve_plain(self, stream: TcpStream) {
        let by = Instant::now() + Options::HEADER_TIMEOUT;
        let spoken = {
            let heard = tokio::time::timeout_at(by, Spoken::heard(&stream));
            tokio::select! {
                biased;
                heard = heard => heard,
                () = grace_after(&self.stop) => return,
            }
        };
        if let Ok(spoken) = spoken {
            self.serve_http(stream, spoken, by).await;
        }
    }

    async fn serve_tls(self, stream: TcpStream, config: Arc<ServerConfig>) {
        let shaken = {
            let handshake = TlsAcceptor::from(config).accept(stream);
            let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake);
            tokio::select! {
                biased;
                shaken = handshake => shaken,
                () = grace_after(&self.stop) => return,
            }
        };
        match shaken {
            Ok(Ok(stream)) => {
                let spoken = Spoken::agreed(stream.get_ref().1.alpn_protocol());
                let by = Instant::now() + Options::HEADER_TIMEOUT;
                // By itself, since the handshake needs as much room and is over.
                Box::pin(self.serve_http(stream, spoken, by)).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    fn serve_http<S>(self, stream: S, spoken: Spoken, first_by: Instant) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Self {
            worker,
            peer,
            seat,
            stop,
            tasks,
        } = self;
        let first_request = Rc::new(Milestone::default());
        let stopping = Stopping {
            seat,
            first_request: Rc::clone(&first_request),
            first_by,
            stop,
        };
        let service = service_fn(move |request: Request<Incoming>| {
            first_request.reach();
            let worker = Rc::clone(&worker);
            async move {
                Ok::<_, Infallible>(match seat {
                    // By itself it is gone when the answer begins, and not when the connection ends.
                    Seat::Free => Box::pin(handle(worker, peer, request)).await,
                    Seat::Taken => Box::pin(refuse(&worker, request.into_body())).await,
                })
            }
        });
        let stream = TokioIo::new(stream);
        match spoken {
            Spoken::Http1 => {
                let connection = http1().serve_connection(stream, service);
                Either::Left(Served::new(connection, stopping))
            }
            // Apart, as TLS is: nearly all speak the other.
            Spoken::Http2 | Spoken::Unknown => Either::Right(Box::pin(async move {
                let mut builder = either(tasks);
                if matches!(spoken, Spoken::Http2) {
                    builder = builder.http2_only();
                }
                Served::new(builder.serve_connection(stream, service), stopping).await;
            })),
        }
    }
}

pin_project! {
    /// Serves a connection until it ends, or has to.
    struct Served<C> {
        #[pin]
        connection: C,
        // Looked at only when there is something to say, and not whenever the connection has.
        others: FuturesUnordered<Pin<Box<dyn Future<Output = Other>>>>,
    }
}

impl<C> Served<C> {
    fn new(connection: C, stopping: Stopping) -> Self {
        let other: Pin<Box<dyn Future<Output = Other>>> = Box::pin(stopping.other());
        Self {
            connection,
            others: FuturesUnordered::from_iter([other]),
        }
    }
}

impl<C> Future for Served<C>
where
    C: GracefulConnection<Error: std::fmt::Display>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            // What the caller has already sent is looked at before anything else.
            if let Poll::Ready(ended) = this.connection.as_mut().poll(ctx) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended early");
                }
                return Poll::Ready(());
            }
            match this.others.poll_next_unpin(ctx) {
                Poll::Ready(Some(Other::Close)) => this.connection.as_mut().graceful_shutdown(),
                Poll::Ready(Some(Other::GiveUp)) => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
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

/// When a connection has to end, whatever its caller wants.
struct Stopping {
    seat: Seat,
    first_request: Rc<Milestone>,
    /// It has to be here by then.
    first_by: Instant,
    /// Begins the shutdown.
    stop: CancellationToken,
}

impl Stopping {
    /// Ends when the connection shall take no further request: at shutdown, or once it has been told that there is no seat. At
    /// shutdown a request that is on its way may still arrive.
    async fn other(self) -> Other {
        {
            let mut reached = std::pin::pin!(self.first_request.reached());
            let stops = tokio::select! {
                biased;
                () = &mut reached => false,
                () = self.stop.cancelled(), if self.seat == Seat::Free => true,
                () = tokio::time::sleep_until(self.first_by) => return Other::GiveUp,
            };
            if stops {
                // Reached or not, it closes then.
                let _arrived = tokio::time::timeout(LAST_REQUEST_GRACE, reached).await;
                return Other::Close;
            }
        }
        if self.seat == Seat::Free {
            self.stop.cancelled().await;
        }
        Other::Close
    }
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
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Options::HEADER_TIMEOUT)
        .max_buf_size(HEAD_BUFFER_BYTES)
        .max_headers(MAX_HEADERS);
    builder
}

fn either(tasks: TaskTracker) -> auto::Builder<LocalExecutor> {
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
