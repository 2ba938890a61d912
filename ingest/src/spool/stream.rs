//! The appending end of a stream; the promises are in [`super`].

mod options;
mod space;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use domain::error_chain;
use uuid::Uuid;

use super::SpoolError;
use super::disk::Disk;
use super::error::IoContext;
use super::folder::{self, Folder};
use super::group::Group;
use super::recovery::recover;
use super::spare::Spare;
use super::sync_order::SyncOrder;
use super::tail::Tail;
pub(crate) use options::{Appended, Durability, Removed, SegmentInfo, StreamOptions};

/// A stream, owned by the one thread that appends to it. Others may make its spares, and sync it, by order.
#[derive(Debug)]
pub(crate) struct Stream {
    folder: Folder,
    options: StreamOptions,
    /// All that have a name, oldest first. The last is the one in use, unless `tail` is none.
    segments: VecDeque<Segment>,
    /// None when the last segment must not be written any more: the next group begins a new one.
    tail: Option<Tail>,
    spares: VecDeque<Spare>,
    next_seq: u64,
    poisoned: u64,
    /// A segment was removed and the folder not synced since.
    removal_unsynced: bool,
}

/// A file with the name of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) first_seq: u64,
    pub(super) bytes: u64,
}

impl Stream {
    /// Begins a stream. `root` has to exist, durably. Calling it again after it failed is fine.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        root: &Path,
        id: Uuid,
        options: StreamOptions,
    ) -> Result<Self, SpoolError> {
        let folder = Folder::new(disk, root, id);
        let created = folder.disk.create_folder(&folder.path);
        created.context("create", &folder.path)?;
        if !folder.contents()?.segments.is_empty() {
            return Err(SpoolError::Exists {
                folder: folder.path,
            });
        }
        Self::start(folder, options)
    }

    /// Finds a stream again, cuts off what a power loss left of an unfinished group, and makes the rest durable.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        id: Uuid,
        options: StreamOptions,
    ) -> Result<Self, SpoolError> {
        Self::start(Folder::new(disk, root, id), options)
    }

    fn start(folder: Folder, options: StreamOptions) -> Result<Self, SpoolError> {
        let recovered = recover(&folder)?;
        let mut stream = Self {
            folder,
            options,
            segments: recovered.segments.into(),
            tail: recovered.tail,
            spares: VecDeque::new(),
            next_seq: recovered.next_seq,
            poisoned: 0,
            removal_unsynced: false,
        };
        if stream.tail.is_none() {
            stream.ensure_room(0)?;
            stream.begin_segment(0)?;
        }
        Ok(stream)
    }

    /// The streams that have a folder under `root`.
    pub(crate) fn list(disk: &dyn Disk, root: &Path) -> Result<Vec<Uuid>, SpoolError> {
        folder::streams(disk, root)
    }

    /// Its name, which is its folder's.
    pub(crate) fn id(&self) -> Uuid {
        self.folder.stream
    }

    /// The sequence that the next frame gets.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The sequence of the oldest frame on disk; [`Self::next_seq`] if there is none.
    #[cfg(test)]
    pub(crate) fn oldest_seq(&self) -> u64 {
        self.segments
            .front()
            .map_or(self.next_seq, |oldest| oldest.first_seq)
    }

    /// How many segments were left early because a write or a sync failed.
    pub(crate) fn poisoned(&self) -> u64 {
        self.poisoned
    }

    /// Appends a whole group and makes it durable. After an error none of it counts: append it again, or
    /// another one, under the same sequence numbers.
    pub(crate) fn append(&mut self, group: &mut Group) -> Result<Appended, SpoolError> {
        let mut failed_before = false;
        while !group.is_empty() {
            if self.tail.as_ref().map_or(0, Tail::room) < group.frame_bytes() {
                self.begin_segment(group.frame_bytes())?;
            }
            match self.write(group) {
                Ok(()) => break,
                Err(error) if failed_before => return Err(error),
                // The segment is given up; the group gets a second chance in a new one.
                Err(_) => failed_before = true,
            }
        }
        Ok(Appended {
            last_seq: self.next_seq.saturating_sub(1),
        })
    }

    /// Whether what was appended survives a power loss.
    pub(crate) fn is_synced(&self) -> bool {
        let is_unsynced = |tail: &Tail| tail.synced < tail.end;
        !self.tail.as_ref().is_some_and(is_unsynced)
    }

    /// Makes durable what only the kernel may hold.
    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        let synced = self.tail.as_mut().map_or(Ok(()), Tail::sync);
        synced.inspect_err(|error| self.give_up_tail(error))
    }

    /// Has another thread make durable what was appended by now; none if all is, or if one does it.
    pub(crate) fn order_sync(&mut self) -> Option<SyncOrder> {
        self.tail.as_mut()?.order_sync()
    }

    /// Whether an order is under way. If not, what came of the last one is known, and counts.
    pub(crate) fn is_being_synced(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::is_being_synced)
    }

    /// Takes what came of an order, if that is known.
    pub(crate) fn take_outcome(&mut self) -> Result<(), SpoolError> {
        let taken = self.tail.as_mut().map_or(Ok(()), Tail::take_outcome);
        taken.inspect_err(|error| self.give_up_tail(error))
    }

    fn write(&mut self, group: &mut Group) -> Result<(), SpoolError> {
        let Some(tail) = &mut self.tail else {
            return Ok(());
        };
        let written = tail.write(group, self.next_seq, self.options.durability);
        match &written {
            Ok(()) => self.next_seq += group.len(),
            Err(error) => self.give_up_tail(error),
        }
        written
    }

    /// Seals the segment in use and puts one in its place that has room for a group.
    fn begin_segment(&mut self, group_bytes: u64) -> Result<(), SpoolError> {
        if let Some(Err(error)) = self.tail.as_mut().map(Tail::sync) {
            self.give_up_tail(&error);
        }
        let spare = self.take_spare(group_bytes)?;
        let before = self.segments.iter().rev().map(|segment| segment.first_seq);
        let previous_seq = before
            .into_iter()
            .find(|seq| *seq < self.next_seq)
            .unwrap_or(0);
        let bytes = spare.len;
        let prepared = spare.prepare(&self.folder, self.next_seq, previous_seq)?;
        // The new segment may be in the folder from now on, whatever fails, and once it is, frames written to
        // the old one don't count.
        self.tail = None;
        let tail = prepared.publish(&self.folder)?;
        self.note_segment(bytes);
        self.folder.sync()?;
        self.tail = Some(tail);
        Ok(())
    }

    /// A new segment takes the place of one that never got an acknowledged frame.
    fn note_segment(&mut self, bytes: u64) {
        let first_seq = self.next_seq;
        self.segments
            .pop_back_if(|last| last.first_seq == first_seq);
        self.segments.push_back(Segment { first_seq, bytes });
    }

    /// Leaves the segment in use for good. What it has is synced, unless that is what failed.
    fn give_up_tail(&mut self, error: &SpoolError) {
        self.poisoned += 1;
        tracing::error!(error = %error_chain(error), "a spool segment is given up; a new one is begun");
        if let Some(Err(error)) = self.tail.take().map(|mut tail| tail.sync()) {
            tracing::error!(
                error = %error_chain(&error),
                "spooled events that only the kernel holds couldn't be synced: a power loss may take them"
            );
        }
    }
}
