//! Frames on disk: a folder of segment files that only grows at its end and only shrinks at its beginning.
//!
//! A stream is the folder `<root>/<stream uuid>/`. Its frames are numbered from 1 without a gap and lie in
//! segment files `<first_seq, 20 digits>.seg`. One thread appends groups ([`Stream::append`]); others read
//! ([`Reader`]); drained segments go as a whole ([`Stream::remove_through`]).
//!
//! Guarantees:
//! - **What was acknowledged is found again**, unchanged and in order: with [`Durability::Fsync`] after a power
//!   loss, with [`Durability::Process`] after a kill of the process.
//! - **What was not acknowledged is found at most once**: the first frames of the last group may be there.
//! - **Damage is told from a torn write.** A write that a power loss cut short is cut off; damage to anything
//!   that had been synced is an error, and nothing on disk is changed.
//! - **A full disk shows where segments are allocated and nowhere else**: [`Stream::ensure_room`], and
//!   [`Stream::append`] where it needs more than was made sure of.
//! - **A file is never synced again after its sync failed**: the kernel may have dropped the data and would
//!   say yes. Nor is it by two threads at once: of the two, one would be told.
//!
//! What it doesn't do: keep a second process out, know who has read how far, or check the frames of sealed
//! segments when a stream is opened (the headers are; the frames are when they are read, or by [`verify()`]).
//!
//! What it relies on: a sector is written whole or not at all, and a disk keeps what it said it had synced.
//! Damage that leaves no whole frame of the last group can't be told from a torn write. With
//! [`Durability::Process`], a full segment whose sync fails is what the kernel still holds: it survives the
//! process, and a power loss after that may show as damage.
//!
//! # Format, version 1
//!
//! All numbers are little-endian; checksums are CRC32C.
//!
//! A segment begins with a header, padded with zeros to 4096 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `MWSPOOL1` |
//! | 8..12 | format version |
//! | 12..28 | stream UUID |
//! | 28..36 | segment id, random |
//! | 36..44 | `first_seq`: the sequence of the first frame |
//! | 44..52 | `first_seq` of the segment before it, 0 if it is the stream's first |
//! | 52..56 | checksum of bytes 0..52 |
//!
//! Behind it lie frames, one after the other, and zeros up to the end of the file. A frame:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | payload length, never 0 |
//! | 4..8 | checksum of bytes 0..4 and of everything from byte 8 to the frame's end |
//! | 8..16 | segment id |
//! | 16..24 | sequence |
//! | 24..32 | `synced`: the offset in this file up to which it was synced before this frame's group was written |
//! | 32.. | payload, padded with zeros to a multiple of 8 |
//!
//! Rules a reader keeps:
//! - A frame counts only if its sequence is below the `first_seq` of the next segment: behind that lie groups
//!   whose sync failed, which were written again to the next segment.
//! - A sealed segment holds every frame up to the next segment. In the last one the frames end at the first
//!   that isn't whole. If any whole frame in the file, before or behind that place, has a `synced` above it,
//!   that is damage; if none has, it is a torn tail.
//! - A header that isn't whole, with nothing but zeros behind it in the last segment, is a segment without
//!   frames.
//! - Files named `*.tmp` are segments not yet in use. They hold no frames.

mod allocator;
mod blank;
pub(crate) mod disk;
mod error;
mod folder;
mod frame;
mod group;
mod header;
mod os_disk;
mod reader;
mod recovery;
mod scan;
mod segment_file;
mod spare;
mod stream;
mod sync_order;
mod tail;
mod verify;
mod window;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod simulated_disk;
#[cfg(test)]
mod tests;

pub(crate) use {
    allocator::Allocator,
    disk::Disk,
    error::{IoContext, SpoolError},
    group::Group,
    os_disk::OsDisk,
    reader::Reader,
    spare::Spare,
    stream::{Durability, Stream, StreamOptions},
    sync_order::SyncOrder,
    verify::verify,
};
#[cfg(test)]
use {stream::Appended, verify::Report};
