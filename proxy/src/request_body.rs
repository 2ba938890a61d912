//! Reading a request's body to its end, within limits of size, time and memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::body_budget::{BodyBudget, BodyLease};
use crate::failure::Failure;
use crate::silence::Silence;

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
    pub(crate) data: Bytes,
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
        data: parts.into_bytes(),
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

/// One chunk is kept as it came; several are joined.
#[derive(Default)]
struct Parts {
    first: Bytes,
    joined: Option<BytesMut>,
    trailers: Option<HeaderMap>,
}

impl Parts {
    fn len(&self) -> usize {
        self.joined.as_ref().map_or(self.first.len(), BytesMut::len)
    }

    fn push(&mut self, data: Bytes, more_expected: u64) {
        /// What a caller merely announces makes us allocate no more than this.
        const TRUSTED_ANNOUNCEMENT: u64 = 1 << 20;
        match &mut self.joined {
            Some(joined) => joined.extend_from_slice(&data),
            None if self.first.is_empty() => self.first = data,
            None => {
                let more = usize::try_from(more_expected.min(TRUSTED_ANNOUNCEMENT)).unwrap_or(0);
                let mut joined = BytesMut::with_capacity(self.first.len() + data.len() + more);
                joined.extend_from_slice(&self.first);
                joined.extend_from_slice(&data);
                self.joined = Some(joined);
            }
        }
    }

    fn into_bytes(self) -> Bytes {
        self.joined.map_or(self.first, BytesMut::freeze)
    }
}
