//! The body of an upstream's answer, with the connection that it comes on.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

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

    /// Gives the connection a task of its own, for as long as the request on it is still being sent: whoever sends it may not read
    /// before all of it has left.
    pub(super) fn apart(mut self) -> Self {
        if let Some(mut taken) = self.line.take() {
            // Nobody waits for it at shutdown: the request's own timeouts end it.
            drop(tokio::task::spawn_local(async move {
                if poll_fn(|ctx| taken.line.poll_free(ctx)).await {
                    taken.pool.give_back(taken.server, taken.line);
                }
            }));
        }
        self
    }

    /// Whether what has arrived shows only after a turn of another task.
    pub(crate) fn needs_turns(&self) -> bool {
        self.line.is_none() && !self.has_ended
    }

    /// What has been read from the connection already.
    fn poll_arrived(&mut self, ctx: &mut Context<'_>) -> Polled {
        let polled = Pin::new(&mut self.body).poll_frame(ctx);
        self.has_ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

type Polled = Poll<Option<hyper::Result<Frame<Bytes>>>>;

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

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Polled {
        if self.line.is_some() {
            // Nobody is woken for what comes of the work that follows: it is looked at right behind it.
            let arrived = self.poll_arrived(&mut Context::from_waker(Waker::noop()));
            if arrived.is_ready() {
                return arrived;
            }
        }
        if let Some(taken) = &mut self.line {
            taken.line.work(ctx);
        }
        self.poll_arrived(ctx)
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
        let Some(mut taken) = self.line.take() else {
            return;
        };
        self.has_ended |= self.body.is_end_stream();
        if !self.has_ended {
            // Behind the last event of a stream nobody may have looked: its end has come with it.
            let mut nobody = Context::from_waker(Waker::noop());
            taken.line.work(&mut nobody);
            drop(self.poll_arrived(&mut nobody));
        }
        if self.has_ended {
            taken.pool.give_back(taken.server, taken.line);
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

#[cfg(test)]
mod tests;
