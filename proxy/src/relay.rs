//! The answer on its way to the caller: each frame leaves as it came, after the meter has seen it.
//!
//! The frame that completes the answer leaves only after the exchange is settled, so that a caller that has
//! its answer also has its event. The upstream is read no faster than the caller takes the bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::ended::End;
use crate::exchange::Exchange;
use crate::silence::Silence;

/// Why an answer breaks off. The caller sees a connection that ends too early, as it would upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the upstream broke off")]
    Broken(#[source] hyper::Error),
    #[error("the upstream fell silent")]
    Silent,
}

/// An upstream's body with its exchange.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Incoming,
    exchange: Exchange,
    silence: Silence,
    broken: Option<RelayError>,
}

impl Relay {
    pub(crate) fn new(upstream: Incoming, mut exchange: Exchange, idle_timeout: Duration) -> Self {
        // Nobody asks a body that is at its end for frames.
        if upstream.is_end_stream() {
            exchange.settle(End::Complete);
        }
        Self {
            upstream,
            exchange,
            silence: Silence::new(idle_timeout),
            broken: None,
        }
    }

    /// Tells of the break at the next turn: until then hyper sends on what it has of the answer, its head
    /// perhaps, which it would forget at once for an error.
    fn break_off(
        &mut self,
        error: RelayError,
        ctx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        self.broken = Some(error);
        ctx.waker().wake_by_ref();
        Poll::Pending
    }

    fn relayed(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(data) = frame.data_ref() {
            self.exchange.observe(data);
        }
        // With a content-length nobody polls behind the last frame; of a stream, the caller may not wait
        // for more than its last event.
        if self.upstream.is_end_stream() || self.exchange.is_answer_complete() {
            self.exchange.settle(End::Complete);
        }
        frame
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let relay = self.get_mut();
        if let Some(error) = relay.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Poll::Ready(frame) = Pin::new(&mut relay.upstream).poll_frame(ctx) else {
            ready!(relay.silence.poll_too_long(ctx));
            relay.exchange.settle(End::UpstreamSilent);
            return Poll::Ready(Some(Err(RelayError::Silent)));
        };
        relay.silence.broken();
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(relay.relayed(frame))),
            Some(Err(error)) => {
                relay.exchange.settle(End::UpstreamBroke);
                return relay.break_off(RelayError::Broken(error), ctx);
            }
            None => {
                relay.exchange.settle(End::Complete);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.upstream.size_hint()
    }
}
