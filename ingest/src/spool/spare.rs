//! Segments allocated ahead.
//!
//! A spare has all its blocks, so that putting it in use can't meet a full disk. It gets its header and its
//! name then, in an order that leaves no moment at which a file of a segment's name has no whole header.

use std::path::{Path, PathBuf};

use super::SpoolError;
use super::disk::{Blocks, DiskFile};
use super::error::{IoContext, is_full};
use super::folder::Folder;
use super::header::{HEADER_BYTES, Header};
use super::tail::Tail;

/// A segment that isn't in use yet.
#[derive(Debug)]
pub(crate) struct Spare {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    segment_id: u64,
    pub(super) len: u64,
}

impl Spare {
    /// Allocates one.
    pub(super) fn allocate(folder: &Folder, len: u64, blocks: Blocks) -> Result<Self, SpoolError> {
        let segment_id = rand::random();
        let path = folder.spare_path(segment_id);
        let file = match folder.disk.create(&path) {
            Ok(file) => file,
            Err(source) => return Err(refusal(folder, path, len, source)),
        };
        if let Err(source) = file.allocate(len, blocks).and_then(|()| file.sync()) {
            discard(folder, &path);
            return Err(refusal(folder, path, len, source));
        }
        Ok(Self {
            path,
            file,
            segment_id,
            len,
        })
    }

    /// Bytes of frames that fit.
    pub(super) fn room(&self) -> u64 {
        self.len.saturating_sub(HEADER_BYTES)
    }

    /// Writes the header, durably. The file is still no segment.
    pub(super) fn prepare(
        self,
        folder: &Folder,
        first_seq: u64,
        previous_seq: u64,
    ) -> Result<Prepared, SpoolError> {
        let header = Header {
            stream: folder.stream,
            segment_id: self.segment_id,
            first_seq,
            previous_seq,
        };
        let written = self.file.write_at(&header.encode(), 0);
        match written.and_then(|()| self.file.sync()) {
            Ok(()) => Ok(Prepared {
                spare: self,
                first_seq,
            }),
            Err(source) => {
                discard(folder, &self.path);
                Err(source).context("write the header of", &self.path)
            }
        }
    }
}

/// A spare with a header.
#[derive(Debug)]
pub(super) struct Prepared {
    spare: Spare,
    first_seq: u64,
}

impl Prepared {
    /// Gives it its name. Whether this fails or not, the segment may be there from now on.
    pub(super) fn publish(self, folder: &Folder) -> Result<Tail, SpoolError> {
        let path = folder.segment_path(self.first_seq);
        let Spare {
            path: from,
            file,
            segment_id,
            len,
        } = self.spare;
        let renamed = folder.disk.rename(&from, &path);
        if renamed.is_err() {
            discard(folder, &from);
        }
        renamed.context("rename", &from)?;
        Ok(Tail::new(path, file, segment_id, HEADER_BYTES, len))
    }
}

/// Removes what is of no use; if that fails too, opening the stream does it.
fn discard(folder: &Folder, path: &Path) {
    if let Err(error) = folder.disk.remove(path) {
        tracing::debug!(%error, path = %path.display(), "a spare segment stays behind");
    }
}

fn refusal(folder: &Folder, path: PathBuf, bytes: u64, source: std::io::Error) -> SpoolError {
    if is_full(&source) {
        let folder = folder.path.clone();
        return SpoolError::NoSpace {
            folder,
            bytes,
            source,
        };
    }
    let action = "allocate";
    SpoolError::Io {
        action,
        path,
        source,
    }
}
