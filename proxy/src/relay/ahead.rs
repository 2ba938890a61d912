//! What was read ahead of the caller: frames that have arrived together, and leave together.
//!
//! Small ones are made one, since a copy costs less than a piece of a write by itself. Nothing else becomes of them: they leave in
//! the order in which they came, and what isn't data, or may have to wait, leaves by itself.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::Frames;

/// So much is taken together, in bytes, beside the frame that goes beyond it.
const MOST_AHEAD: usize = 64 << 10;
/// A frame of so many bytes is cheaper copied than written by itself.
const SMALL: usize = 8 << 10;

/// What has come and not left yet; the last of it may be that there is no more.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    frames: VecDeque<Frames>,
    /// In all of them.
    bytes: usize,
    /// It is complete, for now: it leaves before anything else is looked at.
    pub(super) leaves: bool,
    /// Nothing comes behind it.
    ends: bool,
    /// The task that reads from the upstream has had a turn since the last one came.
    pub(super) had_turn: bool,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Of data, in all that hasn't left.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing more is to be taken before some of it has left.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_AHEAD
    }

    /// Takes what has come, with whether it was the last that matters. Answers whether nothing comes behind it.
    pub(super) fn push(&mut self, frame: Frames, is_at_end: bool) -> bool {
        let is_last = !matches!(frame, Some(Ok(_))) || is_at_end;
        if let Some(Ok(frame)) = &frame {
            self.bytes += bytes(frame);
        }
        self.frames.push_back(frame);
        self.had_turn = false;
        self.ends = is_last;
        is_last
    }

    /// The next one. Small ones leave as one; the answer's last by itself, since it may have to wait.
    pub(super) fn pop(&mut self) -> Option<Frames> {
        let mut frame = self.frames.pop_front();
        let apart = usize::from(self.ends);
        if self.frames.len() > apart
            && let Some(Some(Ok(first))) = &frame
            && let Some(first) = first.data_ref().filter(|data| data.len() <= SMALL)
        {
            let mut together = BytesMut::with_capacity(self.bytes.min(2 * SMALL));
            together.extend_from_slice(first);
            while self.frames.len() > apart
                && let Some(Some(Ok(next))) = self.frames.front()
                && let Some(next) = next.data_ref()
                && together.len() + next.len() <= together.capacity()
            {
                together.extend_from_slice(next);
                self.frames.pop_front();
            }
            frame = Some(Some(Ok(Frame::data(together.freeze()))));
        }
        if let Some(Some(Ok(frame))) = &frame {
            self.bytes -= bytes(frame);
        }
        self.leaves = !self.frames.is_empty();
        frame
    }
}

/// Of data.
pub(super) fn bytes(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests;
