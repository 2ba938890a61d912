//! Allocating spares beside the thread that appends: writing a whole segment takes long enough to be felt.

use super::SpoolError;
use super::disk::Blocks;
use super::folder::Folder;
use super::spare::Spare;

/// Allocates spare segments of one stream; [`super::Stream::add_spare`] takes them.
#[derive(Debug, Clone)]
pub(crate) struct Allocator {
    pub(super) folder: Folder,
    pub(super) segment_len: u64,
    pub(super) blocks: Blocks,
}

impl Allocator {
    /// Allocates one. A spare that is dropped stays on disk until the stream is opened again.
    pub(crate) fn allocate(&self) -> Result<Spare, SpoolError> {
        Spare::allocate(&self.folder, self.segment_len, self.blocks)
    }
}
