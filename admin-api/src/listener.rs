//! Connections: so many at a time, and none on which nothing moves for ever.

mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use self::tls::Secured;

const MOST_CONNECTIONS: usize = 256;
/// So long nothing may move, one way or the other. Longer than a request takes: what waits for an answer reads nothing meanwhile.
const SILENCE: Duration = Duration::from_secs(60);
/// What the system keeps of an answer for a slow reader: with more of it, that reader would seem to take nothing for long.
const SEND_BUFFER: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that is full when it is full: those beyond wait to be accepted.
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    tls: Option<TlsAcceptor>,
}

/// A connection with its place.
pub(crate) struct Connection {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    /// Until something is read or written.
    patience: Pin<Box<Sleep>>,
}

/// Where a caller comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Bounded {
    pub(crate) fn new(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        // Connections have it from their listener.
        if let Err(error) = SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER) {
            tracing::warn!(%error, "the admin API's send buffers stay as large as they are");
        }
        Self {
            listener,
            tls,
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
        }
    }
}

impl Listener for Bounded {
    type Io = Secured<Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Secured<Connection>, SocketAddr) {
        // Never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let connection = Connection {
                        stream,
                        _place: place,
                        patience: Box::pin(tokio::time::sleep(SILENCE)),
                    };
                    return (Secured::new(connection, self.tls.as_ref()), address);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin API could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connection {
    /// Ends what doesn't move: whoever sends nothing, and whoever takes nothing of an answer.
    fn watch<T>(
        &mut self,
        ctx: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.patience.as_mut().reset(Instant::now() + SILENCE);
            return moved;
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
        let connection = self.get_mut();
        let read = Pin::new(&mut connection.stream).poll_read(ctx, buffer);
        connection.watch(ctx, read)
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
    async fn connected() -> (Secured<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = Bounded::new(listener, None);
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, peer) = tokio::join!(listener.accept(), peer);
        (accepted.0, peer.unwrap())
    }

    /// Writes until it fails.
    async fn write_on(mut connection: Secured<Connection>) -> (io::Error, Duration) {
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
                tokio::time::sleep(SILENCE - Duration::from_secs(10)).await;
                peer.read_exact(&mut taken).await.unwrap();
            }
        };
        tokio::select! {
            (error, after) = write_on(connection) => panic!("cut while it read, after {after:?}: {error}"),
            () = reading => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_and_who_only_takes_is_not() {
        let (mut connection, mut peer) = connected().await;
        for _ in 0..3 {
            tokio::time::sleep(SILENCE - Duration::from_secs(1)).await;
            connection.write_all(b"more").await.unwrap();
            let mut taken = [0; 4];
            peer.read_exact(&mut taken).await.unwrap();
        }
        let began = Instant::now();
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), SILENCE.as_secs());
    }
}
