//! Response bodies: whole, or a script of events that leave one by one.

pub(crate) mod events;
pub(crate) mod script;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use script::Script;

/// The connection breaks off without a proper end, as was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulator was told to hang up")
    }
}

impl std::error::Error for HangUp {}

#[derive(Debug)]
pub(crate) enum Body {
    /// Everything at once; empty when it has been sent.
    Whole(Bytes),
    Script(Box<Script>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = HangUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HangUp>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Script(script) => script
                .poll_event(cx)
                .map(|next| next.map(|event| event.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Script(script) => script.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Script(_) => SizeHint::default(),
        }
    }
}
