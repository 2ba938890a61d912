//! Bodies of requests: sent at once, or in small pieces.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::scenario::Pace;

pub(super) type Body = Either<Full<Bytes>, Pieces>;

pub(super) fn of(bytes: Bytes, pace: Option<Pace>) -> Body {
    match pace {
        None => Either::Left(Full::new(bytes)),
        Some(pace) => Either::Right(Pieces {
            left: bytes,
            bytes: pace.bytes,
            every: pace.pause(),
            pause: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }),
    }
}

/// As somebody far away sends it; its length is said beforehand.
#[derive(Debug)]
pub(super) struct Pieces {
    left: Bytes,
    bytes: usize,
    every: Duration,
    pause: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(context));
        let next = Instant::now() + self.every;
        self.pause.as_mut().reset(next);
        let piece = self.bytes.min(self.left.len());
        let piece = self.left.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
