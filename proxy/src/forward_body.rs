//! A request's body on its way to the upstream: whole where it was inspected, as it arrives otherwise.
//!
//! Either way the forwarded bytes are the received bytes, trailers included.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::batch_upload::BatchUpload;
use crate::body_budget::BodyLease;
use crate::request_body::Collected;
use crate::upload::{Upload, UploadError};

/// The body given to the upstream's connection.
#[derive(Debug)]
pub(crate) enum ForwardBody {
    /// Whole.
    Whole {
        data: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
    /// As it arrives.
    Stream(Upload),
    /// As it arrives, and is found to hold nothing that rules refuse.
    Batch(Box<BatchUpload>),
}

impl From<Collected> for ForwardBody {
    fn from(collected: Collected) -> Self {
        let Collected {
            data,
            trailers,
            lease,
        } = collected;
        let data = data.into_bytes();
        let data = (!data.is_empty()).then(|| {
            Bytes::from_owner(Leased {
                data,
                _lease: lease,
            })
        });
        Self::Whole { data, trailers }
    }
}

/// Bytes that count until the last reference to them is gone, also one in a queue for writing.
struct Leased {
    data: Bytes,
    _lease: BodyLease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Whole { data, trailers } => {
                let frame = data
                    .take()
                    .map(Frame::data)
                    .or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Self::Stream(upload) => upload.poll_frame(ctx),
            Self::Batch(upload) => upload.poll_frame(ctx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Self::Stream(upload) => upload.is_end_stream(),
            Self::Batch(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // Of a body with trailers the length is not told: HTTP/1 has them behind chunks only.
            Self::Whole {
                trailers: Some(_), ..
            } => SizeHint::default(),
            Self::Whole { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Self::Stream(upload) => upload.size_hint(),
            Self::Batch(upload) => upload.size_hint(),
        }
    }
}
