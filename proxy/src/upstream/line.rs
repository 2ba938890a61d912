//! One HTTP/1.1 connection to an upstream, and the request on it.
//!
//! It has no task of its own: whoever has it reads and writes what can be, and hears of what has arrived at once. Nothing that it
//! reads into is kept between two reads, so that an answer that comes bit by bit holds no memory while it waits. What upstreams may
//! send is read as strictly as it can be told apart (RFC 9112): what is neither complete nor ended by the connection's end, or has
//! two lengths, is an error and never a shorter answer.

mod body;
mod error;
mod head;
mod names;
mod request;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use hyper::rt::{Read as _, ReadBuf};
use memchr::memmem;
use tokio::task::coop::unconstrained;

use self::body::{Decoded, Decoder};
pub(crate) use self::error::LineError;
use self::head::Head;
use self::names::Names;
use self::request::Outgoing;
use crate::counted_io::CountedIo;
use crate::forward_body::ForwardBody;

/// What is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// A longer head is none.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// What the connections of a thread share.
pub(super) struct Desk {
    /// What is read into.
    buffer: RefCell<Box<[u8]>>,
    names: RefCell<Names>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            buffer: RefCell::new(vec![0; READ_BYTES].into()),
            names: RefCell::default(),
        }
    }
}

/// A connection that nothing works but whoever has it.
pub(super) struct Line(Box<Wire>);

struct Wire {
    io: CountedIo,
    desk: Rc<Desk>,
    outgoing: Outgoing,
    /// Of an answer's head, as far as it has come.
    head: Vec<u8>,
    /// Of an answer's body, what came with its head.
    early: Option<Bytes>,
    body: Decoder,
    /// Why it breaks off, until whoever reads the answer is told.
    broken: Option<LineError>,
    /// Why not all of the request could be written. The answer may have come all the same.
    unwritten: Option<LineError>,
    /// There will be no other request on it.
    is_spent: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) error: LineError,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Box<Request<ForwardBody>>>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, LineError>>>;

impl Line {
    pub(super) fn new(io: CountedIo, desk: Rc<Desk>) -> Self {
        Self(Box::new(Wire {
            io,
            desk,
            outgoing: Outgoing::default(),
            head: Vec::new(),
            early: None,
            body: Decoder::Ended,
            broken: None,
            unwritten: None,
            is_spent: false,
        }))
    }

    /// Sends a request and waits for the head of the answer. What is left of the request then is sent while the answer is read.
    ///
    /// # Errors
    /// With the request, if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<ForwardBody>>,
    ) -> Result<Response<()>, Box<NoAnswer>> {
        if !self.is_ready() {
            return Err(Box::new(NoAnswer {
                error: LineError::Closed,
                unsent: Some(request),
            }));
        }
        let is_head = request.method() == Method::HEAD;
        self.0.outgoing.begin(*request);
        let answer = poll_fn(|ctx| self.0.poll_answer(ctx, is_head)).await;
        answer.map_err(|error| {
            self.0.is_spent = true;
            Box::new(NoAnswer {
                error,
                unsent: None,
            })
        })
    }

    /// The next of the answer's body, and meanwhile what is left of the request is sent.
    pub(super) fn poll_frame(&mut self, ctx: &mut Context<'_>) -> Polled {
        let polled = self.0.poll_frame(ctx);
        self.0.is_spent |= matches!(polled, Poll::Ready(Some(Err(_))));
        polled
    }

    /// Sends what is left of the request, as long as there is use for it. Answers whether the connection can take another one then.
    pub(super) fn poll_sent(&mut self, ctx: &mut Context<'_>) -> Poll<bool> {
        self.0.send_on(ctx);
        if self.0.is_spent && self.0.has_ended() {
            return Poll::Ready(false);
        }
        if self.0.outgoing.is_sent() {
            return Poll::Ready(!self.0.is_spent);
        }
        Poll::Pending
    }

    /// Whether the answer has been read to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// How many bytes of the answer's body are to come, if that was said.
    pub(super) fn left(&self) -> Option<u64> {
        let early = self.0.early.as_ref().map_or(0, |early| early.len() as u64);
        self.0.body.left().map(|left| left + early)
    }

    /// Whether it can take the next request, by what is known of it now.
    pub(super) fn is_ready(&mut self) -> bool {
        self.0.is_free() && self.0.is_silent()
    }
}

impl Wire {
    fn has_ended(&self) -> bool {
        self.early.is_none() && self.body.has_ended()
    }

    fn is_free(&self) -> bool {
        !self.is_spent && self.outgoing.is_sent() && self.has_ended()
    }

    /// Whether the other end neither closed it nor said what nobody asked for.
    fn is_silent(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let mut buffer = self.desk.buffer.borrow_mut();
        // A task that has had its share of a turn would hear nothing any more.
        let listening = unconstrained(poll_fn(|ctx| {
            poll_read(&mut self.io, &mut buffer, ctx).map(drop)
        }));
        let heard = pin!(listening).poll(&mut nobody).is_ready();
        self.is_spent |= heard;
        !heard
    }

    fn poll_answer(
        &mut self,
        ctx: &mut Context<'_>,
        is_head: bool,
    ) -> Poll<Result<Response<()>, LineError>> {
        self.send_on(ctx);
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        self.poll_head(ctx, is_head)
    }

    fn poll_head(
        &mut self,
        ctx: &mut Context<'_>,
        is_head: bool,
    ) -> Poll<Result<Response<()>, LineError>> {
        let desk = Rc::clone(&self.desk);
        loop {
            let mut buffer = desk.buffer.borrow_mut();
            let read = ready!(poll_read(&mut self.io, &mut buffer, ctx))?;
            if read.is_empty() {
                return Poll::Ready(Err(self.closed()));
            }
            let known = self.head.len();
            self.head.extend_from_slice(read);
            // What comes bit by bit is looked through when it may be whole.
            if (known == 0 || has_end(&self.head, known))
                && let Some(response) = self.take_head(is_head)?
            {
                return Poll::Ready(Ok(response));
            }
            if self.head.len() > MAX_HEAD_BYTES {
                return Poll::Ready(Err(LineError::HeadTooLong));
            }
        }
    }

    /// Takes a head that is whole, with what has come behind it.
    fn take_head(&mut self, is_head: bool) -> Result<Option<Response<()>>, LineError> {
        let mut bytes = Bytes::from(std::mem::take(&mut self.head));
        loop {
            let parsed = Head::parse(&bytes, &mut self.desk.names.borrow_mut(), is_head);
            let Some(head) = parsed? else {
                self.head = bytes.into();
                return Ok(None);
            };
            let behind = bytes.split_off(head.bytes);
            if head.is_interim() {
                bytes = behind;
                continue;
            }
            self.body = head.body;
            self.is_spent |= !head.keeps_alive;
            self.early = self.decode(&behind);
            return Ok(Some(head.response));
        }
    }

    fn poll_frame(&mut self, ctx: &mut Context<'_>) -> Polled {
        self.send_on(ctx);
        if let Some(early) = self.early.take() {
            return Poll::Ready(Some(Ok(Frame::data(early))));
        }
        let desk = Rc::clone(&self.desk);
        loop {
            if let Some(trailers) = self.body.take_trailers() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if self.body.has_ended() {
                return Poll::Ready(None);
            }
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let mut buffer = desk.buffer.borrow_mut();
            let read = ready!(poll_read(&mut self.io, &mut buffer, ctx))?;
            if read.is_empty() {
                self.is_spent = true;
                // With a request that was cut off, an answer may have been, too.
                self.unwritten.take().map_or(Ok(()), Err)?;
                self.body.close()?;
            } else if let Some(data) = self.decode(read) {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    /// The connection ended before the answer did.
    fn closed(&mut self) -> LineError {
        self.unwritten.take().unwrap_or(LineError::Closed)
    }

    /// What is data of bytes that came.
    fn decode(&mut self, mut bytes: &[u8]) -> Option<Bytes> {
        let Decoded { data, fault } = self.body.decode(&mut bytes);
        // Whatever comes behind an answer, nobody asked for it.
        self.is_spent |= !bytes.is_empty();
        self.broken = self.broken.take().or(fault);
        data
    }

    /// Sends what can be, while the answer is read.
    fn send_on(&mut self, ctx: &mut Context<'_>) {
        match self.poll_send(ctx) {
            Poll::Pending | Poll::Ready(Ok(())) => {}
            // Who closes a connection may have said why before: that the request is too large, perhaps.
            Poll::Ready(Err(error @ LineError::Write(_))) => self.unwritten = Some(error),
            Poll::Ready(Err(error)) => self.broken = Some(error),
        }
    }

    fn poll_send(&mut self, ctx: &mut Context<'_>) -> Poll<Result<(), LineError>> {
        if self.outgoing.is_sent() {
            return Poll::Ready(Ok(()));
        }
        let sent = ready!(self.outgoing.poll_send(&mut self.io, ctx));
        if sent.is_err() {
            self.is_spent = true;
            self.outgoing = Outgoing::default();
        }
        Poll::Ready(sent)
    }
}

/// Reads what has come; nothing is the connection's end.
fn poll_read<'a>(
    io: &mut CountedIo,
    buffer: &'a mut [u8],
    ctx: &mut Context<'_>,
) -> Poll<Result<&'a [u8], LineError>> {
    let mut read = ReadBuf::new(buffer);
    let done = ready!(Pin::new(io).poll_read(ctx, read.unfilled()));
    let length = done
        .map(|()| read.filled().len())
        .map_err(LineError::Read)?;
    Poll::Ready(Ok(buffer.get(..length).unwrap_or_default()))
}

/// Whether there is the end of a head in bytes, of which so many were looked through before.
fn has_end(bytes: &[u8], known: usize) -> bool {
    let new = bytes.get(known.saturating_sub(3)..).unwrap_or_default();
    [&b"\n\r\n"[..], b"\n\n"]
        .iter()
        .any(|end| memmem::find(new, end).is_some())
}

#[cfg(test)]
mod tests;
