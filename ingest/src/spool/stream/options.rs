//! What goes into a stream's operations and comes out of them.

/// How a stream is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamOptions {
    /// What a segment takes on disk.
    pub(crate) segment_bytes: u64,
    /// The frames of the largest group that [`super::Stream::room`] reckons with.
    pub(crate) group_bytes: u64,
    /// What an acknowledged group has survived.
    pub(crate) durability: Durability,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            group_bytes: 1 << 20,
            durability: Durability::Fsync,
        }
    }
}

/// What an acknowledged group survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A power loss: every group is synced.
    Fsync,
    /// A kill of the process: a group is in the kernel's hands. Only whole segments are synced.
    Process,
}

/// A group that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The sequence of its last frame; of the last frame before it if it was empty.
    pub(crate) last_seq: u64,
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub(crate) first_seq: u64,
    /// `first_seq - 1` if it has no frame yet.
    pub(crate) last_seq: u64,
    /// What it takes on disk.
    pub(crate) bytes: u64,
}

/// What [`super::Stream::remove_through`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
}
