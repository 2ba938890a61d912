//! Places of one size in a file that is mapped into memory: what is written there is a few stores and no call of the kernel, and
//! survives a kill of the process.
//!
//! The first byte of a place says whether there is anything; 0 if not. After a power loss the file is what the kernel had written of
//! it by then: it promises nothing about the last seconds.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::path::Path;

use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Places of `BYTES` each.
pub(crate) struct Places<const BYTES: usize> {
    map: MmapMut,
    /// The last one let go is taken first: few pages are in use.
    free: Vec<u32>,
}

impl<const BYTES: usize> std::fmt::Debug for Places<BYTES> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places")
            .field("bytes", &BYTES)
            .field("free", &self.free.len())
            .finish_non_exhaustive()
    }
}

impl<const BYTES: usize> Places<BYTES> {
    /// Makes a file of empty places.
    ///
    /// # Errors
    /// If the disk has no room for it: all of its blocks are there from the beginning.
    pub(crate) fn create(path: &Path, places: u32) -> io::Result<Self> {
        let bytes = u64::from(places) * BYTES as u64;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP) => {
                std::io::copy(&mut std::io::repeat(0).take(bytes), &mut &file)?;
            }
            done => done?,
        }
        #[expect(unsafe_code, reason = "there is no safe way to map a file")]
        // SAFETY: nobody else writes to the file or shortens it: the folder is locked, and it was created just now.
        let map = unsafe { MmapMut::map_mut(&file) }?;
        Ok(Self {
            map,
            free: (0..places).rev().collect(),
        })
    }

    /// Takes a free place, and has it written; `None` if there is no free one.
    pub(crate) fn take(&mut self, write: impl FnOnce(&mut [u8; BYTES])) -> Option<u32> {
        let place = self.free.pop()?;
        write(at(&mut self.map, place)?);
        Some(place)
    }

    /// Lets a place go.
    pub(crate) fn release(&mut self, place: u32) {
        if let Some(state) = at::<BYTES>(&mut self.map, place).and_then(|place| place.first_mut()) {
            *state = 0;
            self.free.push(place);
        }
    }
}

fn at<const BYTES: usize>(map: &mut MmapMut, place: u32) -> Option<&mut [u8; BYTES]> {
    let start = place as usize * BYTES;
    map.get_mut(start..start + BYTES)?.try_into().ok()
}
