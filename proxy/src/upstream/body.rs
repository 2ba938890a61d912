//! The body of an upstream's answer, with the connection that it comes on.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Target;
use super::line::Line;
use super::pool::Pool;

/// Read to its end, its connection is free for the next request; dropped before, it is closed.
pub(crate) struct UpstreamBody {
    body: Incoming,
    /// Of HTTP/1.1, until it is given back.
    line: Option<Taken>,
    has_ended: bool,
}

/// A connection, and where it belongs.
struct Taken {
    line: Line,
    server: Rc<Target>,
    pool: Rc<Pool>,
}

impl UpstreamBody {
    pub(super) fn new(body: Incoming, line: Line, server: Rc<Target>, pool: &Rc<Pool>) -> Self {
        let pool = Rc::clone(pool);
        Self {
            body,
            line: Some(Taken { line, server, pool }),
            has_ended: false,
        }
    }

    /// Whether what has arrived shows only after a turn of another task.
    pub(crate) fn needs_turns(&self) -> bool {
        self.line.is_none() && !self.has_ended
    }
}

impl From<Incoming> for UpstreamBody {
    /// One whose connection is another task's business.
    fn from(body: Incoming) -> Self {
        Self {
            body,
            line: None,
            has_ended: false,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(ctx);
        if polled.is_pending()
            && let Some(taken) = &mut self.line
        {
            taken.line.work(ctx);
            polled = Pin::new(&mut self.body).poll_frame(ctx);
        }
        if let Poll::Ready(None) = polled {
            self.has_ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        let Some(Taken { line, server, pool }) = self.line.take() else {
            return;
        };
        if self.has_ended || self.body.is_end_stream() {
            pool.give_back(server, line);
        }
    }
}

impl std::fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
