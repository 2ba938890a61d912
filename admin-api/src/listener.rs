//! Connections: so many at a time, and none that keeps its place for ever by sending or taking next to nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

const MOST_CONNECTIONS: usize = 256;
/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the head of a request, from the end of the one before. (A body has its own time.)
const HEAD: Duration = Duration::from_secs(30);
/// So long an answer may wait for its reader to take something.
const SILENCE: Duration = Duration::from_secs(60);
/// What the system keeps of an answer for a slow reader: with more of it, that reader would seem to take nothing for long.
const SEND_BUFFER: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Where a caller comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `stop`; requests that run then may end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    stop: CancellationToken,
) {
    limit_buffers(&listener);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (running, tasks) = (GracefulShutdown::new(), TaskTracker::new());
    loop {
        let accepted = async {
            // Those beyond wait to be accepted. Never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (accept(&listener).await, place)
        };
        let ((stream, address), place) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let (tls, routes, watcher) = (tls.clone(), routes.clone(), running.watcher());
        tasks.spawn(async move {
            let stream = Connection::new(stream);
            match tls {
                None => serve_http(stream, address, routes, watcher).await,
                Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve_http(stream, address, routes, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    running.shutdown().await;
}

/// Connections have it from their listener.
fn limit_buffers(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).set_send_buffer_size(SEND_BUFFER) {
        tracing::warn!(%error, "the admin API's send buffers stay as large as they are");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin API could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    routes: Router,
    watcher: Watcher,
) {
    let service = Known {
        routes,
        peer: Peer(address),
    };
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(error = %error, "a connection to the admin API ended early");
    }
}

/// The routes, for requests of one peer.
#[derive(Debug, Clone)]
struct Known {
    routes: Router,
    peer: Peer,
}

impl<B> Service<Request<B>> for Known
where
    Router: Service<Request<B>>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, ctx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.routes.poll_ready(ctx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.routes.call(request)
    }
}

/// A connection whose peer takes what is sent.
struct Connection {
    stream: TcpStream,
    /// Something waits to be taken.
    waits: bool,
    /// Until it is.
    patience: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            waits: false,
            patience: Box::pin(tokio::time::sleep(SILENCE)),
        }
    }

    /// Ends what doesn't move.
    fn watch<T>(
        &mut self,
        ctx: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.waits = false;
            return moved;
        }
        if !self.waits {
            self.waits = true;
            self.patience.as_mut().reset(Instant::now() + SILENCE);
        }
        let over = self.patience.as_mut().poll(ctx);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(ctx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let written = Pin::new(&mut connection.stream).poll_write(ctx, data);
        connection.watch(ctx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(ctx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(ctx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        let written = Pin::new(&mut connection.stream).poll_write_vectored(ctx, data);
        connection.watch(ctx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Both ends.
    async fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        limit_buffers(&listener);
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let ((accepted, _), peer) = tokio::join!(accept(&listener), peer);
        (Connection::new(accepted), peer.unwrap())
    }

    /// Writes until it fails.
    async fn write_on(mut connection: Connection) -> (io::Error, Duration) {
        let began = Instant::now();
        loop {
            if let Err(error) = connection.write_all(&[0; 64 << 10]).await {
                return (error, began.elapsed());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_cut() {
        let (connection, _peer) = connected().await;
        let (error, after) = write_on(connection).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(after.as_secs(), SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_not_cut_while_it_reads() {
        let (connection, mut peer) = connected().await;
        let reading = async {
            let mut taken = vec![0; 2 << 20];
            for _ in 0..20 {
                tokio::time::advance(SILENCE - Duration::from_secs(10)).await;
                peer.read_exact(&mut taken).await.unwrap();
            }
        };
        // The clock would go on by itself while all wait for the kernel, which has a part in this as well.
        let never_idle = async {
            loop {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            (error, after) = write_on(connection) => panic!("cut while it read, after {after:?}: {error}"),
            () = reading => {}
            () = never_idle => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_ends_the_head_of_a_request_loses_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(serve(listener, None, Router::new(), stop.clone()));
        let mut peer = TcpStream::connect(address).await.unwrap();
        let began = Instant::now();
        peer.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if peer.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        timeout(2 * HEAD, drip).await.unwrap();
        assert!(began.elapsed() >= HEAD, "{:?}", began.elapsed());
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
