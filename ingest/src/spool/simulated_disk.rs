//! A disk in memory that forgets what wasn't synced, and fails when told to.
//!
//! At a power loss every change since the last sync is kept or lost by chance: writes sector by sector,
//! lengths, and names one operation at a time, in no order. A sync that fails does the same to the changes it
//! was to make durable, and forgets that they were ever unsynced, as the kernel does. A sync that takes its time
//! is for what was written before it began.

mod content;
mod file;
mod hold;
mod names;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::content::Content;
use self::file::SimulatedFile;
use self::hold::Hold;
pub(crate) use self::hold::{HeldSync, until};
use self::names::Names;
use super::disk::{Access, Disk, DiskFile, Entry};

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Allocate,
    Write,
    Sync,
    SyncFolder,
    Rename,
    Remove,
}

/// A disk; clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something about [`State::hold`] has.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    names: Names,
    files: Vec<Content>,
    faults: Vec<Fault>,
    /// How many changes were asked for.
    changes: u64,
    stop_at: u64,
    free: u64,
    hold: Hold,
    power_losses: u64,
    random: StdRng,
}

#[derive(Debug)]
struct Fault {
    operation: Operation,
    skip: u32,
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            names: Names::default(),
            files: Vec::new(),
            faults: Vec::new(),
            changes: 0,
            stop_at: u64::MAX,
            free: u64::MAX,
            hold: Hold::None,
            power_losses: 0,
            random: StdRng::seed_from_u64(seed),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Lets one operation of a kind fail, after `skip` of them succeeded.
    pub(crate) fn fail(&self, operation: Operation, skip: u32) {
        self.state().faults.push(Fault { operation, skip });
    }

    /// Lets everything fail after so many more operations, until the power is lost.
    pub(super) fn stop_after(&self, operations: u64) {
        let mut state = self.state();
        state.stop_at = state.changes + operations;
    }

    pub(crate) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Bytes that can still be allocated.
    pub(crate) fn set_free(&self, free: u64) {
        self.state().free = free;
    }

    /// How often the disk was changed, or synced.
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }

    pub(crate) fn lose_power(&self) {
        let state = &mut *self.state();
        state.faults.clear();
        state.stop_at = u64::MAX;
        state.power_losses += 1;
        self.let_go(state);
        state.names.lose_power(&mut state.random);
        for file in &mut state.files {
            file.lose_power(&mut state.random);
        }
    }

    /// What a file holds now.
    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.files[state.names.get(path).unwrap()].now.clone()
    }

    /// Replaces what a file holds, durably, as rot would.
    pub(super) fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let state = &mut *self.state();
        let file = match state.names.get(path) {
            Some(file) => file,
            None => {
                state.files.push(Content::default());
                state.names.link(path, state.files.len() - 1);
                state.names.sync(path.parent().unwrap());
                state.files.len() - 1
            }
        };
        state.files[file] = Content::durable(bytes);
    }

    /// Every file and what it holds.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let files = state.names.files();
        files
            .map(|(path, file)| (path.clone(), state.files[file].now.clone()))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl State {
    fn change(&mut self, operation: Operation) -> io::Result<()> {
        self.changes += 1;
        let stopped = self.changes > self.stop_at;
        let mut due = None;
        for (at, fault) in self.faults.iter_mut().enumerate() {
            if fault.operation == operation {
                if fault.skip == 0 {
                    due = Some(at);
                }
                fault.skip = fault.skip.saturating_sub(1);
            }
        }
        let fault = due.map(|at| self.faults.remove(at));
        if stopped || fault.is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.state().names.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().names.create_folder(folder);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change(Operation::SyncFolder)?;
        state.names.sync(folder);
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.get(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.push(Content::default());
        let file = state.files.len() - 1;
        state.names.link(path, file);
        Ok(Box::new(SimulatedFile::new(self, file)))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self
            .state()
            .names
            .get(path)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimulatedFile::new(self, file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.state();
        let failed = state.change(Operation::Rename);
        // A rename that failed may have happened all the same.
        if failed.is_ok() || state.random.random() {
            state.names.rename(from, to);
        }
        failed
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change(Operation::Remove)?;
        state.names.remove(path)
    }
}
