//! A segment that is read.

use std::path::PathBuf;

use super::SpoolError;
use super::disk::{Access, DiskFile};
use super::error::IoContext;
use super::folder::Folder;
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader};
use super::header::{HEADER_LEN, Header, HeaderFault};
use super::window::Window;

/// An open segment whose header is whole and of this stream.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) header: Header,
    pub(super) len: u64,
    window: Window,
}

/// Where a whole frame was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) seq: u64,
    pub(super) synced: u64,
    /// Where the next frame begins.
    pub(super) end: u64,
    payload_offset: u64,
    payload_bytes: usize,
}

impl SegmentFile {
    pub(super) fn open(
        folder: &Folder,
        first_seq: u64,
        access: Access,
        mut window: Window,
    ) -> Result<Self, SpoolError> {
        let path = folder.segment_path(first_seq);
        let file = folder.disk.open(&path, access).context("open", &path)?;
        let len = file.len().context("read", &path)?;
        window.clear();
        let header = window.read(file.as_ref(), 0, HEADER_LEN);
        let header = match Header::decode(header.context("read", &path)?.unwrap_or_default()) {
            Ok(header) => header,
            Err(HeaderFault::Newer(version)) => return Err(SpoolError::Newer { path, version }),
            Err(HeaderFault::Damaged) => {
                return Err(SpoolError::corrupt(&path, 0, "its header isn't whole"));
            }
        };
        if header.stream != folder.stream {
            let found = header.stream;
            return Err(SpoolError::Foreign { path, found });
        }
        if header.first_seq != first_seq {
            return Err(SpoolError::corrupt(
                &path,
                0,
                "its name isn't the one it was given",
            ));
        }
        Ok(Self {
            path,
            file,
            header,
            len,
            window,
        })
    }

    /// The frame that begins at an offset, if a whole one does.
    pub(super) fn frame_at(&mut self, offset: u64) -> Result<Option<Found>, SpoolError> {
        let Some(bytes) = self.read(offset, FRAME_HEADER_BYTES)? else {
            return Ok(None);
        };
        let Some(header) = bytes.first_chunk().map(FrameHeader::decode) else {
            return Ok(None);
        };
        let Some(frame_bytes) = header.frame_bytes() else {
            return Ok(None);
        };
        let end = offset + frame_bytes as u64;
        if header.segment_id != self.header.segment_id || end > self.len {
            return Ok(None);
        }
        let whole = self.read(offset, frame_bytes)?.is_some_and(frame::is_whole);
        Ok(whole.then_some(Found {
            seq: header.seq,
            synced: header.synced,
            end,
            payload_offset: offset + FRAME_HEADER_BYTES as u64,
            payload_bytes: header.payload_bytes as usize,
        }))
    }

    /// The payload of the frame that was found last.
    pub(super) fn payload(&self, found: &Found) -> &[u8] {
        let payload = self.window.get(found.payload_offset, found.payload_bytes);
        payload.unwrap_or_default()
    }

    /// Bytes of the file; none if it ends before.
    pub(super) fn read(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, SpoolError> {
        let bytes = self.window.read(self.file.as_ref(), offset, len);
        bytes.context("read", &self.path)
    }

    /// Forgets what was read before the file was last written.
    pub(super) fn forget_read(&mut self) {
        self.window.clear();
    }

    /// The buffer, for the next file.
    pub(super) fn into_window(self) -> Window {
        self.window
    }
}
