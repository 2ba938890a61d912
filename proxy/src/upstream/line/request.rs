//! A request on its way out.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::{Body as _, Frame};
use hyper::rt::Write;

use super::error::LineError;
use crate::forward_body::ForwardBody;
use crate::headers;

/// Pieces that are written together, and bytes of them that are gathered, beside the piece that goes beyond.
const MOST_PIECES: usize = 16;
const MOST_BYTES: usize = 64 << 10;
/// A body of so many bytes leaves in one piece with its head.
const SMALL: usize = 4 << 10;

/// What of a request hasn't left.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pieces: VecDeque<Bytes>,
    /// In all of them.
    bytes: usize,
    /// Until it has ended.
    body: Option<Coming>,
    /// Something was written that may not have left.
    is_unflushed: bool,
}

/// A body that comes.
#[derive(Debug)]
struct Coming {
    body: ForwardBody,
    framing: Framing,
}

/// How a body's end is told.
#[derive(Debug)]
enum Framing {
    None,
    Length(u64),
    /// By chunks, with the trailers that were announced.
    Chunks(Vec<HeaderName>),
}

impl Outgoing {
    pub(super) fn begin(&mut self, request: Request<ForwardBody>) {
        let (mut head, mut body) = request.into_parts();
        let framing = Framing::of(&head.headers, &body);
        framing.tell(&mut head.headers);
        let small = small(&mut body);
        self.push(written(&head, small.as_deref().unwrap_or_default()).into());
        if !matches!(framing, Framing::None) && small.is_none() {
            self.body = Some(Coming { body, framing });
        }
    }

    /// All of it has left.
    pub(super) fn is_sent(&self) -> bool {
        self.pieces.is_empty() && self.body.is_none() && !self.is_unflushed
    }

    /// Sends what there is, and what comes, until all has left.
    pub(super) fn poll_send<T: Write + Unpin>(
        &mut self,
        io: &mut T,
        ctx: &mut Context<'_>,
    ) -> Poll<Result<(), LineError>> {
        loop {
            self.gather(ctx)?;
            if self.pieces.is_empty() {
                break;
            }
            ready!(self.poll_write(io, ctx)).map_err(LineError::Write)?;
        }
        if self.is_unflushed {
            ready!(Pin::new(io).poll_flush(ctx)).map_err(LineError::Write)?;
            self.is_unflushed = false;
        }
        if self.body.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what has come of the body.
    fn gather(&mut self, ctx: &mut Context<'_>) -> Result<(), LineError> {
        while self.pieces.len() < MOST_PIECES && self.bytes < MOST_BYTES {
            let Some(coming) = &mut self.body else {
                return Ok(());
            };
            match Pin::new(&mut coming.body).poll_frame(ctx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(frame))) => self.take(frame)?,
                Poll::Ready(Some(Err(error))) => return Err(LineError::Request(error)),
                Poll::Ready(None) => self.end(None)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), LineError> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(()),
            Ok(data) => self.take_data(data),
            Err(frame) => self.end(frame.trailers_ref()),
        }
    }

    fn take_data(&mut self, data: Bytes) -> Result<(), LineError> {
        let Some(coming) = &mut self.body else {
            return Ok(());
        };
        match &mut coming.framing {
            Framing::Chunks(_) => {
                self.push(format!("{:x}\r\n", data.len()).into());
                self.push(data);
                self.push(Bytes::from_static(b"\r\n"));
            }
            Framing::Length(left) => {
                let length = data.len() as u64;
                *left = left
                    .checked_sub(length)
                    .ok_or(LineError::RequestLength("longer"))?;
                if *left == 0 {
                    // Nobody looks behind the last byte, nor holds on to what may be there.
                    self.body = None;
                }
                self.push(data);
            }
            Framing::None => {}
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), LineError> {
        let framing = self.body.take().map(|coming| coming.framing);
        match framing {
            Some(Framing::Chunks(announced)) => {
                let mut end = b"0\r\n".to_vec();
                for (name, value) in trailers.into_iter().flatten() {
                    if announced.contains(name) {
                        put_header(&mut end, name, value);
                    }
                }
                end.extend_from_slice(b"\r\n");
                self.push(end.into());
                Ok(())
            }
            Some(Framing::Length(1..)) => Err(LineError::RequestLength("shorter")),
            Some(Framing::Length(0) | Framing::None) | None => Ok(()),
        }
    }

    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    fn poll_write<T: Write + Unpin>(
        &mut self,
        io: &mut T,
        ctx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); MOST_PIECES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        let mut written = ready!(match slices.get(..count).unwrap_or_default() {
            [piece] => Pin::new(io).poll_write(ctx, piece),
            pieces => Pin::new(io).poll_write_vectored(ctx, pieces),
        })?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_unflushed = true;
        self.bytes -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl Framing {
    fn of(headers: &HeaderMap, body: &ForwardBody) -> Self {
        if body.is_end_stream() {
            return Self::None;
        }
        match body.size_hint().exact() {
            Some(length) => Self::Length(length),
            None => Self::Chunks(announced(headers)),
        }
    }

    /// Puts it where the upstream looks for it.
    fn tell(&self, headers: &mut HeaderMap) {
        match self {
            // It may say that it is 0 bytes long, or nothing.
            Self::None => drop(headers.remove(TRANSFER_ENCODING)),
            Self::Length(length) => {
                headers.remove(TRANSFER_ENCODING);
                if !says(headers, *length) {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(*length));
                }
            }
            Self::Chunks(_) => {
                headers.remove(CONTENT_LENGTH);
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
    }
}

/// Whether that is the length that the headers tell, once.
fn says(headers: &HeaderMap, length: u64) -> bool {
    let mut told = headers.get_all(CONTENT_LENGTH).iter();
    let first = told
        .next()
        .and_then(|value| value.to_str().ok()?.parse().ok());
    first == Some(length) && told.next().is_none()
}

/// The trailers that a request says will come, less those that may not.
fn announced(head: &HeaderMap) -> Vec<HeaderName> {
    headers::names_in(head, TRAILER)
        .filter(|name| headers::may_trail(name.as_str()))
        .collect()
}

/// A body that is whole, and short enough to be copied behind its head: a piece by itself costs more.
fn small(body: &mut ForwardBody) -> Option<Bytes> {
    match body {
        ForwardBody::Whole {
            data,
            trailers: None,
        } => data.take_if(|data| data.len() <= SMALL),
        ForwardBody::Whole { .. } | ForwardBody::Stream(_) | ForwardBody::Batch(_) => None,
    }
}

fn written(head: &Parts, body: &[u8]) -> Vec<u8> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let length = head.method.as_str().len()
        + path.len()
        + " ".len()
        + " HTTP/1.1\r\n".len()
        + headers::wire_size(&head.headers)
        + "\r\n".len()
        + body.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(path.as_bytes());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        put_header(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn put_header(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    bytes.extend_from_slice(name.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
