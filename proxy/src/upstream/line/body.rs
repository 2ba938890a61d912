//! The body of an answer, out of the bytes that come.

mod chunks;

use bytes::Bytes;
use http::HeaderMap;

use self::chunks::Chunks;
use super::error::LineError;

/// How a body ends.
#[derive(Debug)]
pub(super) enum Decoder {
    /// It has.
    Ended,
    /// After so many bytes, more than none.
    Length(u64),
    /// With the connection.
    UntilClosed,
    /// With an empty chunk.
    Chunked(Chunks),
}

impl Decoder {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunks::default())
    }

    /// Nothing of it is to come, trailers included.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Length(_) | Self::UntilClosed => false,
            Self::Chunked(chunks) => chunks.has_ended(),
        }
    }

    /// Bytes to come, where that was said.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Ended => Some(0),
            Self::Length(left) => Some(*left),
            // Whoever took it for a length would have no place for trailers.
            Self::UntilClosed | Self::Chunked(_) => None,
        }
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Self::Chunked(chunks) => chunks.take_trailers(),
            Self::Ended | Self::Length(_) | Self::UntilClosed => None,
        }
    }

    /// Takes the data out of bytes, all that is in them in one piece. What is left of the bytes is behind the body, or behind a fault.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Decoded {
        let data = match self {
            Self::Ended => None,
            Self::UntilClosed => copied(std::mem::take(bytes)),
            Self::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let (data, behind) = bytes.split_at(most.min(bytes.len()));
                *bytes = behind;
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::Ended;
                }
                copied(data)
            }
            Self::Chunked(chunks) => return Decoded::of_chunks(chunks, bytes),
        };
        Decoded { data, fault: None }
    }

    /// The connection ended.
    pub(super) fn close(&mut self) -> Result<(), LineError> {
        if let Self::UntilClosed = self {
            *self = Self::Ended;
        }
        if self.has_ended() {
            return Ok(());
        }
        Err(LineError::Closed)
    }
}

/// What was in bytes.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) data: Option<Bytes>,
    /// What is wrong behind the data.
    pub(super) fault: Option<LineError>,
}

impl Decoded {
    fn of_chunks(chunks: &mut Chunks, bytes: &mut &[u8]) -> Self {
        // Most often there is one, which is copied once.
        let (mut first, mut all) = (&[][..], Vec::new());
        let fault = loop {
            match chunks.next(bytes) {
                Ok(None) => break None,
                Err(fault) => break Some(fault),
                Ok(Some(data)) if first.is_empty() => first = data,
                Ok(Some(data)) => {
                    if all.is_empty() {
                        all.reserve_exact(first.len() + data.len() + bytes.len());
                        all.extend_from_slice(first);
                    }
                    all.extend_from_slice(data);
                }
            }
        };
        let data = if all.is_empty() {
            copied(first)
        } else {
            Some(all.into())
        };
        Self { data, fault }
    }
}

fn copied(data: &[u8]) -> Option<Bytes> {
    (!data.is_empty()).then(|| Bytes::copy_from_slice(data))
}

#[cfg(test)]
mod tests;
