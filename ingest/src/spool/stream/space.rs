//! What a stream takes on disk, what still fits, and what may go.

use super::super::SpoolError;
use super::super::allocator::Allocator;
use super::super::disk::Blocks;
use super::super::error::IoContext;
#[cfg(test)]
use super::super::frame;
use super::super::header::HEADER_BYTES;
use super::super::spare::Spare;
use super::super::tail::Tail;
use super::{Durability, Removed, SegmentInfo, Stream};

/// Less would be all header.
const SMALLEST_SEGMENT_BYTES: u64 = HEADER_BYTES + 512;

impl Stream {
    /// What a payload takes on disk.
    #[cfg(test)]
    pub(crate) fn frame_bytes(payload_bytes: usize) -> u64 {
        frame::frame_bytes(payload_bytes)
    }

    /// How many bytes of frames can be appended without allocating anything, in groups of any sizes up to
    /// [`super::StreamOptions::group_bytes`] (half a segment, if that is less), as long as no write fails.
    pub(crate) fn room(&self) -> u64 {
        let in_use = self.tail.iter().map(Tail::room);
        let spare = self.spares.iter().map(Spare::room);
        room(in_use.chain(spare), self.largest_group())
    }

    /// Allocates until there is that much room and one spare segment.
    pub(crate) fn ensure_room(&mut self, bytes: u64) -> Result<(), SpoolError> {
        while self.wants_room(bytes) {
            let spare = self.allocator().allocate()?;
            self.spares.push_back(spare);
        }
        Ok(())
    }

    /// Whether [`Self::ensure_room`] would allocate anything.
    pub(crate) fn wants_room(&self, bytes: u64) -> bool {
        self.spares.is_empty() || self.room() < bytes
    }

    /// Does the allocating of [`Self::ensure_room`], on any thread.
    pub(crate) fn allocator(&self) -> Allocator {
        Allocator {
            folder: self.folder.clone(),
            segment_len: self.segment_len(),
            blocks: match self.options.durability {
                Durability::Fsync => Blocks::Written,
                // No group waits for a sync, so there is nothing to make faster.
                Durability::Process => Blocks::Reserved,
            },
        }
    }

    /// Takes a spare segment that this stream's [`Allocator`] made.
    pub(crate) fn add_spare(&mut self, spare: Spare) {
        self.spares.push_back(spare);
    }

    /// What all files of the stream take.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.bytes);
        segments
            .chain(self.spares.iter().map(|spare| spare.len))
            .sum()
    }

    /// The segments, oldest first; the last is the one in use.
    pub(crate) fn segments(&self) -> Vec<SegmentInfo> {
        let next = self
            .segments
            .iter()
            .skip(1)
            .map(|segment| segment.first_seq);
        let ends = next.chain([self.next_seq]);
        let segments = self.segments.iter().zip(ends);
        segments
            .map(|(segment, end)| SegmentInfo {
                first_seq: segment.first_seq,
                last_seq: end.saturating_sub(1),
                bytes: segment.bytes,
            })
            .collect()
    }

    /// Removes the oldest segments as long as all their frames are at or below `seq`. The one in use stays.
    pub(crate) fn remove_through(&mut self, seq: u64) -> Result<Removed, SpoolError> {
        let mut removed = Removed::default();
        // The removal before is durable before the next one begins: no power loss leaves a gap between two.
        self.sync_removal()?;
        while let (Some(oldest), Some(next)) = (self.segments.front(), self.segments.get(1)) {
            if next.first_seq.saturating_sub(1) > seq {
                break;
            }
            let path = self.folder.segment_path(oldest.first_seq);
            self.folder.disk.remove(&path).context("remove", &path)?;
            removed.segments += 1;
            removed.bytes += oldest.bytes;
            self.segments.pop_front();
            self.removal_unsynced = true;
            self.sync_removal()?;
        }
        Ok(removed)
    }

    fn sync_removal(&mut self) -> Result<(), SpoolError> {
        if self.removal_unsynced {
            self.folder.sync()?;
            self.removal_unsynced = false;
        }
        Ok(())
    }

    /// A spare that has room for a group; a group that no spare can hold gets one of its own size.
    pub(super) fn take_spare(&mut self, group_bytes: u64) -> Result<Spare, SpoolError> {
        if let Some(spare) = self
            .spares
            .pop_front_if(|spare| spare.room() >= group_bytes)
        {
            return Ok(spare);
        }
        let len = self.segment_len().max(HEADER_BYTES + group_bytes);
        // A group is waiting.
        Spare::allocate(&self.folder, len, Blocks::Reserved)
    }

    fn segment_len(&self) -> u64 {
        self.options.segment_bytes.max(SMALLEST_SEGMENT_BYTES)
    }

    fn largest_group(&self) -> u64 {
        self.options
            .group_bytes
            .min((self.segment_len() - HEADER_BYTES) / 2)
    }
}

/// What surely fits into segments, one after the other: a group that doesn't fit leaves less than its own size
/// unused, in every segment but the last.
fn room(segments: impl Iterator<Item = u64>, largest_group: u64) -> u64 {
    let mut sum = 0;
    let mut last = 0;
    for segment in segments {
        sum += u64::saturating_sub(last, largest_group);
        last = segment;
    }
    sum + last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::room;

    proptest! {
        #[test]
        fn groups_that_add_up_to_the_room_fit(
            segments in prop::collection::vec(200_u64..400, 1..6),
            groups in prop::collection::vec(1_u64..=100, 1..60),
        ) {
            let mut left = room(segments.iter().copied(), 100);
            let mut segments = segments.into_iter();
            let mut here = segments.next().unwrap();
            for group in groups {
                if group > left {
                    break;
                }
                left -= group;
                while here < group {
                    here = segments.next().expect("a segment with room");
                }
                here -= group;
            }
        }
    }
}
