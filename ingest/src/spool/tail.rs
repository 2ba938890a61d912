//! The segment that is appended to.
//!
//! It is written by whole groups behind one another and never twice at the same place. Once a write or a sync
//! failed it is only fit to be left: what became of the bytes is unknown.

use std::path::PathBuf;

use super::SpoolError;
use super::disk::DiskFile;
use super::error::IoContext;
use super::group::Group;
use super::stream::Durability;

/// The end of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) segment_id: u64,
    /// Where the next group goes.
    pub(super) end: u64,
    /// Up to where the file is known to be synced.
    pub(super) synced: u64,
    /// Where the allocated blocks end.
    pub(super) len: u64,
    pub(super) sync_failed: bool,
}

impl Tail {
    /// Bytes of frames that still fit.
    pub(super) fn room(&self) -> u64 {
        self.len.saturating_sub(self.end)
    }

    /// Writes a group, and syncs it if that is what durable means.
    pub(super) fn write(
        &mut self,
        group: &mut Group,
        first_seq: u64,
        durability: Durability,
    ) -> Result<(), SpoolError> {
        let bytes = group.sealed(self.segment_id, first_seq, self.synced);
        let written = self.file.write_at(bytes, self.end);
        written.context("write", &self.path)?;
        self.end += group.frame_bytes();
        match durability {
            Durability::Fsync => self.sync(),
            Durability::Process => Ok(()),
        }
    }

    /// Syncs what isn't yet.
    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        if self.synced < self.end && !self.sync_failed {
            // Until it has succeeded it counts as failed, whatever way this function is left.
            self.sync_failed = true;
            self.file.sync().context("sync", &self.path)?;
            self.sync_failed = false;
            self.synced = self.end;
        }
        Ok(())
    }
}
