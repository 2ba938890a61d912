//! Connections that speak TLS if the listener does. The handshake is the connection's own business: nobody waits for it in the
//! queue of those who want to be accepted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// A connection, in plain text or not.
pub(crate) enum Secured<S> {
    Plain(S),
    /// Nothing is read or written before it is over.
    Handshake(Box<Accept<S>>),
    Open(Box<TlsStream<S>>),
    /// The handshake failed.
    Broken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Secured<S> {
    pub(crate) fn new(stream: S, acceptor: Option<&TlsAcceptor>) -> Self {
        match acceptor {
            None => Self::Plain(stream),
            Some(acceptor) => Self::Handshake(Box::new(acceptor.accept(stream))),
        }
    }

    /// What bytes go through, once the handshake is over.
    fn poll_open(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Stream>>> {
        if let Self::Handshake(accept) = self {
            *self = match ready!(Pin::new(accept).poll(ctx)) {
                Ok(stream) => Self::Open(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "a TLS handshake with the admin API failed");
                    Self::Broken
                }
            };
        }
        Poll::Ready(self.opened())
    }

    fn opened(&mut self) -> io::Result<Pin<&mut dyn Stream>> {
        match self {
            Self::Plain(stream) => Ok(Pin::new(stream)),
            Self::Open(stream) => Ok(Pin::new(&mut **stream)),
            Self::Handshake(_) | Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Both of what a connection is.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_open(ctx))?.poll_read(ctx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(ctx))?.poll_write(ctx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().opened() {
            Ok(stream) => stream.poll_flush(ctx),
            // Nothing was written.
            Err(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().opened() {
            Ok(stream) => stream.poll_shutdown(ctx),
            Err(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(ctx))?.poll_write_vectored(ctx, data)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Open(stream) => stream.is_write_vectored(),
            Self::Handshake(_) | Self::Broken => true,
        }
    }
}
