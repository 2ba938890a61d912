//! A connection that is counted while it is open.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use metrics::Gauge;

/// How many connections are open, as a gauge.
#[derive(Clone)]
pub(crate) struct OpenConnections(pub(crate) Gauge);

/// Takes one off the gauge when dropped.
struct Opened(Gauge);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// What bytes are read from and written to.
pub(crate) trait Transport: Read + Write + Connection + Send + Unpin {}

impl<T: Read + Write + Connection + Send + Unpin> Transport for T {}

/// A counted connection. Without TLS it takes no room for what TLS would.
pub(crate) struct CountedIo {
    io: Box<dyn Transport>,
    _opened: Opened,
}

impl CountedIo {
    pub(crate) fn new(io: impl Transport + 'static, open: &OpenConnections) -> Self {
        open.0.increment(1.0);
        Self {
            io: Box::new(io),
            _opened: Opened(open.0.clone()),
        }
    }
}

impl Connection for CountedIo {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl Read for CountedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(ctx, buffer)
    }
}

impl Write for CountedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(ctx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(ctx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(ctx, pieces)
    }
}
