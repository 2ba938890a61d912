//! Reading a request's body to its end, within limits of size, time and memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::body_budget::{BodyBudget, BodyLease};
use crate::failure::Failure;
use crate::silence::Silence;
use crate::text::{Pieces, Text};

/// How much of a body is taken off the wire before its request is refused, so that a caller that is still
/// sending gets to read why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discard {
    bytes: u64,
    time: Duration,
}

impl Discard {
    /// For callers that are known.
    pub(crate) const PATIENT: Self = Self {
        bytes: 128 << 20,
        time: Duration::from_secs(10),
    };
    /// For anybody.
    pub(crate) const BRIEF: Self = Self {
        bytes: 8 << 20,
        time: Duration::from_secs(2),
    };

    /// Reads and forgets what is left of a body, within these bounds.
    pub(crate) async fn discard(self, mut body: Incoming) {
        let mut left = self.bytes;
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                if left == 0 {
                    break;
                }
            }
        };
        // What doesn't arrive in time is no longer of interest.
        let _in_time = tokio::time::timeout(self.time, reading).await;
    }
}

/// A body received whole.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) data: Text,
    pub(crate) trailers: Option<HeaderMap>,
    /// Its share of the memory for bodies.
    pub(crate) lease: BodyLease,
}

/// Limits of reading a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_bytes: u64,
    /// How long the caller may send nothing.
    pub(crate) idle: Duration,
}

/// Reads a body to its end.
///
/// # Errors
/// If it is too large, too slow, broken, or memory for bodies is used up.
pub(crate) async fn collect(
    mut body: Incoming,
    limits: Limits,
    budget: &Arc<BodyBudget>,
) -> Result<Collected, Failure> {
    let mut lease = BodyLease::new(Arc::clone(budget));
    let mut parts = Parts::default();
    let mut silence = Silence::new(limits.idle);
    while let Some(frame) = next_frame(&mut body, &mut silence).await? {
        match frame.into_data() {
            Ok(data) => {
                let total = parts.len().saturating_add(data.len());
                if total as u64 > limits.max_bytes {
                    Discard::PATIENT.discard(body).await;
                    return Err(Failure::BodyTooLarge {
                        limit: limits.max_bytes,
                    });
                }
                if !lease.cover(total) {
                    Discard::PATIENT.discard(body).await;
                    return Err(Failure::Overloaded);
                }
                parts.push(data, body.size_hint().lower());
            }
            Err(frame) => parts.trailers = frame.into_trailers().ok(),
        }
    }
    let trailers = parts.trailers.take();
    Ok(Collected {
        data: parts.into_text(),
        trailers,
        lease,
    })
}

async fn next_frame(
    body: &mut Incoming,
    silence: &mut Silence,
) -> Result<Option<Frame<Bytes>>, Failure> {
    let next = poll_fn(|ctx| {
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(ctx) else {
            return silence
                .poll_too_long(ctx)
                .map(|()| Err(Failure::BodyTimeout));
        };
        Poll::Ready(frame.transpose().map_err(|_| Failure::BodyBroken))
    });
    let frame = next.await?;
    silence.broken();
    Ok(frame)
}

/// How much to allocate for a body of which so many bytes are here. What a caller merely announces is believed as far as 1 MiB, and as
/// far as a multiple of what it has sent: a long body is moved once or twice, not each time that it has doubled.
fn room(here: usize, more_expected: u64) -> usize {
    const BELIEVED: usize = 1 << 20;
    const TIMES: usize = 15;
    let more = usize::try_from(more_expected).unwrap_or(usize::MAX);
    here.saturating_add(more.min(here.saturating_mul(TIMES).max(BELIEVED)))
}

/// One chunk is kept as it came; several are joined.
#[derive(Default)]
struct Parts {
    first: Bytes,
    joined: Option<Pieces>,
    trailers: Option<HeaderMap>,
}

impl Parts {
    fn len(&self) -> usize {
        self.joined.as_ref().map_or(self.first.len(), Pieces::len)
    }

    fn push(&mut self, data: Bytes, more_expected: u64) {
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        let all = self.len() + data.len();
        let (first, joined) = (&self.first, &mut self.joined);
        let joined = joined.get_or_insert_with(|| {
            let mut joined = Pieces::default();
            joined.reserve(room(all, more_expected));
            joined.push(first);
            joined
        });
        if joined.capacity() < all {
            joined.reserve(room(all, more_expected));
        }
        joined.push(&data);
    }

    fn into_text(self) -> Text {
        self.joined.map_or(self.first.into(), Pieces::into_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends so many bytes in pieces, and says of each allocation how much of the body was there.
    fn moves(bytes: usize, is_announced: bool) -> Vec<usize> {
        const PIECE: usize = 64 << 10;
        let mut parts = Parts::default();
        let (mut sent, mut moves, mut capacity) = (0, Vec::new(), 0);
        while sent < bytes {
            let piece = PIECE.min(bytes - sent);
            sent += piece;
            let more = if is_announced { bytes - sent } else { 0 };
            parts.push(vec![7; piece].into(), more as u64);
            let room = parts.joined.as_ref().map_or(0, Pieces::capacity);
            if room != capacity {
                moves.push(sent);
                capacity = room;
            }
        }
        assert_eq!(parts.len(), bytes);
        assert!(parts.into_text().bytes().iter().all(|byte| *byte == 7));
        moves
    }

    #[test]
    fn a_body_is_moved_seldom_and_what_is_announced_is_not_believed_without_bound() {
        let first = 128 << 10;
        assert_eq!(moves(1 << 20, true), [first]);
        assert_eq!(moves(5 << 20, true).len(), 2);
        let of_a_batch = moves(200 << 20, true);
        assert!(of_a_batch.len() <= 4, "{of_a_batch:?}");
        assert_eq!(room(first, u64::MAX), 16 * first);
        assert!(moves(5 << 20, false).len() < 10);
    }

    #[test]
    fn a_body_in_one_piece_stays_where_it_is() {
        let data = Bytes::from_static(b"{}");
        let mut parts = Parts::default();
        parts.push(data.clone(), 0);
        assert_eq!(parts.into_text().bytes().as_ptr(), data.as_ptr());
    }
}
