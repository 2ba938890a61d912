//! An open file of the simulated disk.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;

use super::super::disk::{Blocks, DiskFile};
use super::{Operation, SimulatedDisk};

#[derive(Debug)]
pub(super) struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
    is_being_synced: AtomicBool,
    sync_failed: AtomicBool,
}

impl SimulatedFile {
    pub(super) fn new(disk: &SimulatedDisk, file: usize) -> Self {
        Self {
            disk: disk.clone(),
            file,
            is_being_synced: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
        }
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].now.len() as u64)
    }

    fn allocate(&self, len: u64, _: Blocks) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change(Operation::Allocate)?;
        state.free = state
            .free
            .checked_sub(len)
            .ok_or(io::ErrorKind::StorageFull)?;
        state.files[self.file]
            .now
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.files[self.file].now;
        let bytes = bytes
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let state = &mut *self.disk.state();
        let offset = usize::try_from(offset).unwrap();
        let failed = state.change(Operation::Write);
        let written = match failed {
            Ok(()) => bytes.len(),
            Err(_) => state.random.random_range(0..bytes.len()),
        };
        state.files[self.file].write(&bytes[..written], offset);
        failed
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        assert!(
            !self.sync_failed.load(Ordering::Relaxed),
            "a file was synced again after its sync failed"
        );
        assert!(
            !self.is_being_synced.swap(true, Ordering::Relaxed),
            "a file was synced by two threads at once"
        );
        let failed = state.change(Operation::Sync);
        let (writes, life) = (state.files[self.file].unsynced(), state.power_losses);
        let state = &mut *self.disk.held(state, self.file);
        self.is_being_synced.store(false, Ordering::Relaxed);
        self.sync_failed.store(failed.is_err(), Ordering::Relaxed);
        if state.power_losses > life {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let file = &mut state.files[self.file];
        match failed {
            Ok(()) => file.sync(writes),
            Err(_) => file.keep_some(writes, &mut state.random),
        }
        failed
    }
}
