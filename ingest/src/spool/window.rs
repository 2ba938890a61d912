//! A file read in large steps.

use std::io;

use super::disk::DiskFile;

/// What one read asks for; a longer piece gets a longer read.
const STEP_BYTES: usize = 256 << 10;

/// The part of a file that is in memory.
#[derive(Debug, Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    filled: usize,
    start: u64,
}

impl Window {
    /// Bytes of the file; none if it ends before.
    pub(super) fn read(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        len: usize,
    ) -> io::Result<Option<&[u8]>> {
        if self.get(offset, len).is_none() {
            self.fill(file, offset, len)?;
        }
        Ok(self.get(offset, len))
    }

    /// Bytes that were read before.
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let filled = self.buffer.get(..self.filled)?;
        filled.get(from..from.checked_add(len)?)
    }

    /// Forgets what was read: the file may have grown since.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    fn fill(&mut self, file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<()> {
        self.filled = 0;
        self.start = offset;
        let wanted = len.max(STEP_BYTES);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < len {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match file.read_at(free, offset + self.filled as u64)? {
                0 => break,
                read => self.filled += read,
            }
        }
        Ok(())
    }
}
