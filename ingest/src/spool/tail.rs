//! The segment that is appended to.
//!
//! It is written by whole groups behind one another and never twice at the same place. Once a write or a sync
//! failed it is only fit to be left: what became of the bytes is unknown. While another thread has an order to
//! sync it, it is written, but not synced: the order's outcome has to be known before.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::SpoolError;
use super::disk::DiskFile;
use super::error::IoContext;
use super::group::Group;
use super::stream::Durability;
use super::sync_order::{SyncOrder, UnderWay};

/// The end of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    pub(super) segment_id: u64,
    /// Where the next group goes.
    pub(super) end: u64,
    /// Up to where the file is known to be synced.
    pub(super) synced: u64,
    /// Where the allocated blocks end.
    len: u64,
    sync_failed: bool,
    under_way: Option<UnderWay>,
}

impl Tail {
    /// A segment of `len` bytes that has frames up to `end`, all of them synced.
    pub(super) fn new(
        path: PathBuf,
        file: Box<dyn DiskFile>,
        segment_id: u64,
        end: u64,
        len: u64,
    ) -> Self {
        Self {
            path,
            file: file.into(),
            segment_id,
            end,
            synced: end,
            len,
            sync_failed: false,
            under_way: None,
        }
    }

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
        if let Some(under_way) = self.under_way.take() {
            let outcome = under_way.wait();
            self.settle(under_way.end, outcome)?;
        }
        if self.synced < self.end && !self.sync_failed {
            // Until it has succeeded it counts as failed, whatever way this function is left.
            self.sync_failed = true;
            let synced = self.file.sync();
            self.settle(self.end, synced)?;
        }
        Ok(())
    }

    /// Has another thread do that; none if there is nothing to do, or if one does it.
    pub(super) fn order_sync(&mut self) -> Option<SyncOrder> {
        if self.synced == self.end || self.sync_failed || self.under_way.is_some() {
            return None;
        }
        let (order, under_way) =
            SyncOrder::new(Arc::clone(&self.file), self.path.clone(), self.end);
        self.under_way = Some(under_way);
        Some(order)
    }

    /// Whether another thread does.
    pub(super) fn is_being_synced(&self) -> bool {
        self.under_way.is_some()
    }

    /// Takes what came of it, if that is known.
    pub(super) fn take_outcome(&mut self) -> Result<(), SpoolError> {
        let Some(under_way) = &self.under_way else {
            return Ok(());
        };
        let (end, outcome) = (under_way.end, under_way.look());
        let Some(outcome) = outcome else {
            return Ok(());
        };
        self.under_way = None;
        self.settle(end, outcome)
    }

    fn settle(&mut self, end: u64, outcome: io::Result<()>) -> Result<(), SpoolError> {
        self.sync_failed = outcome.is_err();
        outcome.context("sync", &self.path)?;
        self.synced = end;
        Ok(())
    }
}
