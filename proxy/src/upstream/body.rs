//! The body of an upstream's answer, with the connection that it comes on.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::Target;
use super::line::{Line, LineError};
use super::pool::Pool;

/// Read to its end, its connection is free for the next request; dropped before, it is closed.
pub(crate) struct UpstreamBody {
    way: Way,
    has_ended: bool,
}

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Http1(#[from] LineError),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// How it comes here.
enum Way {
    /// By HTTP/1.1, of which whoever reads it works the connection.
    Line(Taken),
    /// The same, of which another task does.
    Apart(Apart),
    Http2(Incoming),
    /// It doesn't any more.
    Nowhere,
}

/// A connection, and where it belongs.
struct Taken {
    line: Line,
    server: Rc<Target>,
    pool: Rc<Pool>,
}

/// What another task reads.
struct Apart {
    frames: mpsc::Receiver<Frames>,
    /// How many bytes are to come, if that was said.
    left: Option<u64>,
}

/// One, or what ends them.
type Frames = Option<Result<Frame<Bytes>, LineError>>;
type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl UpstreamBody {
    pub(super) fn new(line: Line, server: Rc<Target>, pool: &Rc<Pool>) -> Self {
        let pool = Rc::clone(pool);
        Self {
            way: Way::Line(Taken { line, server, pool }),
            has_ended: false,
        }
    }

    /// Gives the connection a task of its own, for as long as the request on it is still being sent: whoever sends it may not read
    /// before all of it has left.
    pub(super) fn apart(mut self) -> Self {
        match std::mem::replace(&mut self.way, Way::Nowhere) {
            Way::Line(taken) => {
                let left = taken.line.left();
                let (sender, frames) = mpsc::channel(1);
                // Nobody waits for it at shutdown: the request's own timeouts end it.
                drop(tokio::task::spawn_local(taken.work(sender)));
                self.way = Way::Apart(Apart { frames, left });
            }
            other @ (Way::Apart(_) | Way::Http2(_) | Way::Nowhere) => self.way = other,
        }
        self
    }

    /// Whether what has arrived shows only after a turn of another task.
    pub(crate) fn needs_turns(&self) -> bool {
        !self.has_ended && matches!(self.way, Way::Apart(_) | Way::Http2(_))
    }
}

impl Taken {
    /// Works the connection until the request has been sent and the answer been read, or nobody reads it any more.
    async fn work(mut self, sender: mpsc::Sender<Frames>) {
        let mut reads = true;
        while reads {
            let place = tokio::select! {
                biased;
                place = sender.reserve() => place,
                // It may take long before there is one.
                never = self.send_on() => match never {},
            };
            let Ok(place) = place else { break };
            let frame = tokio::select! {
                biased;
                () = sender.closed() => break,
                frame = poll_fn(|ctx| self.line.poll_frame(ctx)) => frame,
            };
            reads = matches!(frame, Some(Ok(_)));
            place.send(frame);
        }
        if self.line.has_ended() && poll_fn(|ctx| self.line.poll_sent(ctx)).await {
            self.give_back();
        }
    }

    /// Sends on what is left of the request. It never ends.
    async fn send_on(&mut self) -> Infallible {
        poll_fn(|ctx| {
            // Of an error is heard where the answer is read.
            let _is_sent = self.line.poll_sent(ctx);
            Poll::Pending
        })
        .await
    }

    fn give_back(self) {
        self.pool.give_back(self.server, self.line);
    }
}

impl Apart {
    fn poll_frame(&mut self, ctx: &mut Context<'_>) -> Poll<Frames> {
        // A task that is no more has told of no end.
        let gone = Some(Err(LineError::Closed));
        let frame = ready!(self.frames.poll_recv(ctx)).unwrap_or(gone);
        if let (Some(left), Some(Ok(frame))) = (&mut self.left, &frame) {
            let data = frame.data_ref().map_or(0, Bytes::len);
            *left = left.saturating_sub(data as u64);
        }
        Poll::Ready(frame)
    }
}

impl From<Incoming> for UpstreamBody {
    fn from(body: Incoming) -> Self {
        Self {
            way: Way::Http2(body),
            has_ended: false,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Polled {
        let frame = match &mut self.way {
            Way::Line(taken) => in_http1(ready!(taken.line.poll_frame(ctx))),
            Way::Apart(apart) => in_http1(ready!(apart.poll_frame(ctx))),
            Way::Http2(body) => {
                let frame = ready!(Pin::new(body).poll_frame(ctx));
                frame.map(|frame| frame.map_err(BodyError::from))
            }
            Way::Nowhere => None,
        };
        self.has_ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.way {
            Way::Line(taken) => taken.line.has_ended(),
            Way::Apart(apart) => self.has_ended || apart.left == Some(0),
            Way::Http2(body) => body.is_end_stream(),
            Way::Nowhere => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = match &self.way {
            Way::Line(taken) => taken.line.left(),
            Way::Apart(apart) => apart.left,
            Way::Http2(body) => return body.size_hint(),
            Way::Nowhere => Some(0),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn in_http1(frame: Frames) -> Option<Result<Frame<Bytes>, BodyError>> {
    frame.map(|frame| frame.map_err(BodyError::from))
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        let Way::Line(mut taken) = std::mem::replace(&mut self.way, Way::Nowhere) else {
            return;
        };
        if !taken.line.has_ended() {
            // Behind the last event of a stream nobody may have looked: its end has come with it.
            let mut nobody = Context::from_waker(Waker::noop());
            drop(taken.line.poll_frame(&mut nobody));
        }
        if taken.line.has_ended() {
            taken.give_back();
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
