//! The reading end of a stream.
//!
//! A reader knows nothing of the appending end but the position that its caller says is durable. It opens a
//! segment only for a frame at or below that position, so it never sees one that could still be replaced.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::SpoolError;
use super::disk::{Access, Disk};
use super::folder::Folder;
use super::header::HEADER_BYTES;
use super::segment_file::{Found, SegmentFile};
use super::window::Window;

/// A frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) seq: u64,
    pub(crate) payload: &'a [u8],
}

/// Reads the frames of a stream in order.
#[derive(Debug)]
pub(crate) struct Reader {
    folder: Folder,
    /// The sequence of the next frame to give.
    next_seq: u64,
    /// What was durable when the folder was last listed. Which file holds a frame up to here is settled: a
    /// segment that appears later begins behind it.
    settled: u64,
    /// `first_seq` of every segment at that time.
    segments: Vec<u64>,
    open: Option<Open>,
    window: Window,
}

/// A place in a segment.
#[derive(Debug)]
struct Open {
    segment: SegmentFile,
    offset: u64,
    /// The sequence of the frame at the offset.
    seq: u64,
}

impl Reader {
    /// Reads behind a position: 0 is before everything.
    pub(crate) fn behind(
        disk: Arc<dyn Disk>,
        root: &Path,
        id: Uuid,
        after_seq: u64,
    ) -> Result<Self, SpoolError> {
        let folder = Folder::new(disk, root, id);
        let segments = folder.contents()?.segments;
        let reader = Self {
            folder,
            next_seq: after_seq.saturating_add(1),
            settled: after_seq,
            segments,
            open: None,
            window: Window::default(),
        };
        reader.segment_of_next()?;
        Ok(reader)
    }

    /// The next frame, if its sequence is at most `up_to`. Everything up to there has to be acknowledged. The
    /// folder is listed once whenever `up_to` has grown.
    pub(crate) fn next(&mut self, up_to: u64) -> Result<Option<Frame<'_>>, SpoolError> {
        if self.next_seq > up_to {
            return Ok(None);
        }
        if up_to > self.settled {
            self.settle(up_to)?;
        }
        let first_seq = self.segment_of_next()?;
        let found = self.find(first_seq)?;
        self.next_seq += 1;
        let payload = self.open.as_ref().map(|open| open.segment.payload(&found));
        Ok(payload.map(|payload| Frame {
            seq: found.seq,
            payload,
        }))
    }

    /// Lists the segments again. What was read ahead may have been written since.
    fn settle(&mut self, up_to: u64) -> Result<(), SpoolError> {
        self.segments = self.folder.contents()?.segments;
        self.settled = up_to;
        if let Some(open) = &mut self.open {
            open.segment.forget_read();
        }
        Ok(())
    }

    /// The segment that holds the next frame: the last that begins at it or before.
    fn segment_of_next(&self) -> Result<u64, SpoolError> {
        let behind = self
            .segments
            .partition_point(|first_seq| *first_seq <= self.next_seq);
        match (
            behind.checked_sub(1).and_then(|at| self.segments.get(at)),
            self.segments.first(),
        ) {
            (Some(first_seq), _) => Ok(*first_seq),
            (None, Some(oldest)) => Err(SpoolError::Gap { oldest: *oldest }),
            (None, None) => Ok(self.next_seq),
        }
    }

    /// Finds the next frame in a segment.
    fn find(&mut self, first_seq: u64) -> Result<Found, SpoolError> {
        let mut open = match self.open.take() {
            Some(open) if open.segment.header.first_seq == first_seq => open,
            other => {
                if let Some(other) = other {
                    self.window = other.segment.into_window();
                }
                self.open_segment(first_seq)?
            }
        };
        loop {
            let found = open.segment.frame_at(open.offset)?;
            let Some(found) = found.filter(|found| found.seq == open.seq) else {
                let what = "a frame that was acknowledged is missing here";
                return Err(SpoolError::corrupt(&open.segment.path, open.offset, what));
            };
            open.offset = found.end;
            open.seq += 1;
            if found.seq == self.next_seq {
                self.open = Some(open);
                return Ok(found);
            }
        }
    }

    fn open_segment(&mut self, first_seq: u64) -> Result<Open, SpoolError> {
        let window = std::mem::take(&mut self.window);
        match SegmentFile::open(&self.folder, first_seq, Access::Read, window) {
            Ok(segment) => Ok(Open {
                segment,
                offset: HEADER_BYTES,
                seq: first_seq,
            }),
            Err(error) => Err(self.or_gap(error)),
        }
    }

    /// A file that isn't there any more was removed as drained since the folder was listed.
    fn or_gap(&mut self, error: SpoolError) -> SpoolError {
        match self.folder.contents() {
            Ok(contents) => self.segments = contents.segments,
            Err(_) => return error,
        }
        self.segment_of_next().err().unwrap_or(error)
    }
}
