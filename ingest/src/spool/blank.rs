//! A segment without a header.
//!
//! A segment gets its name when its header is synced, so there should be none. A disk that lies about syncs can
//! still lose a file's whole content at a power loss and keep its name.

use super::SpoolError;
use super::disk::Access;
use super::error::IoContext;
use super::folder::Folder;
use super::header::{HEADER_BYTES, HEADER_LEN, Header, HeaderFault};
use super::window::Window;

const STEP_BYTES: u64 = 64 << 10;

/// The length of a segment that has neither a whole header nor anything behind it.
pub(super) fn blank_len(folder: &Folder, first_seq: u64) -> Result<Option<u64>, SpoolError> {
    let path = folder.segment_path(first_seq);
    let file = folder
        .disk
        .open(&path, Access::Read)
        .context("open", &path)?;
    let len = file.len().context("read", &path)?;
    let mut window = Window::default();
    let header = window.read(file.as_ref(), 0, HEADER_LEN);
    let header = header.context("read", &path)?.unwrap_or_default();
    if Header::decode(header) != Err(HeaderFault::Damaged) {
        return Ok(None);
    }
    let mut offset = HEADER_BYTES;
    while offset < len {
        let step = (len - offset).min(STEP_BYTES);
        let bytes = window.read(file.as_ref(), offset, usize::try_from(step).unwrap_or(0));
        let bytes = bytes.context("read", &path)?.unwrap_or_default();
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(None);
        }
        offset += step;
    }
    Ok(Some(len))
}
