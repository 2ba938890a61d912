//! A batch on its way to the upstream, past the rules for its items.
//!
//! Guarantees: no byte is given before all items that end in or before it have passed, and what completes the body not before all
//! of it is known to be good. So the upstream never has a whole batch of which an item is refused, whether the end is told by a
//! length or by the last chunk: the request to it breaks off.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::admission::Undecided;
use crate::batch_gate::BatchGate;
use crate::upload::{Upload, UploadError};

/// An upload and the gate before it.
#[derive(Debug)]
pub(crate) struct BatchUpload {
    upload: Upload,
    /// None behind the end.
    gate: Option<BatchGate>,
    /// What has come and isn't read to its end, and how far it is.
    reading: Option<(Bytes, usize)>,
}

impl BatchUpload {
    /// A batch of which nothing has been given yet.
    pub(crate) fn new(upload: Upload, gate: BatchGate) -> Self {
        Self {
            upload,
            gate: Some(gate),
            reading: None,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.reading.is_none() {
            match ready!(self.upload.poll_frame(ctx)).transpose() {
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) => self.reading = Some((data, 0)),
                    // Nothing comes behind trailers.
                    Err(trailers) => return Poll::Ready(Some(self.end().map(|()| trailers))),
                },
                Ok(None) => return Poll::Ready(self.end().err().map(Err)),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let read = ready!(self.poll_read(ctx)).map_err(|why| self.upload.refused(why));
        Poll::Ready(read.transpose())
    }

    /// Reads what has come, and gives it once it is read.
    fn poll_read(
        &mut self,
        ctx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Undecided>> {
        let Some((data, mut read)) = self.reading.take() else {
            return Poll::Ready(Ok(None));
        };
        if let Some(gate) = &mut self.gate {
            read += gate.read(data.get(read..).unwrap_or_default())?;
            if read < data.len() {
                self.reading = Some((data, read));
                ctx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if self.upload.is_all_given() {
            self.close()?;
        }
        Poll::Ready(Ok(Some(Frame::data(data))))
    }

    fn end(&mut self) -> Result<(), UploadError> {
        self.close().map_err(|why| self.upload.refused(why))
    }

    fn close(&mut self) -> Result<(), Undecided> {
        if let Some(gate) = self.gate.take() {
            self.upload.passed(gate.end()?);
        }
        Ok(())
    }

    /// Not before the gate is closed: that it is asked for what comes next is how it learns of the end.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.gate.is_none() && self.upload.is_end_stream()
    }

    /// Of what is still to come from the caller.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.upload.size_hint()
    }
}
