//! The bodies of answers: a few bytes of our own, or the upstream's as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::relay::{Relay, RelayError};

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// All there at once.
    Full(Full<Bytes>),
    /// The upstream's.
    Relay(Box<Relay>),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::full(Bytes::new())
    }

    pub(crate) fn full(data: impl Into<Bytes>) -> Self {
        Self::Full(Full::new(data.into()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body)
                .poll_frame(ctx)
                .map_err(|never| match never {}),
            Self::Relay(body) => Pin::new(body.as_mut()).poll_frame(ctx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Relay(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Relay(body) => body.size_hint(),
        }
    }
}
