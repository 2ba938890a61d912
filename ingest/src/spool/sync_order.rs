//! A sync of the segment in use, beside the thread that appends: what a slow disk takes for it, appending needn't.
//!
//! Guarantees: there is one outcome, and the tail takes it. Linux reports what failed in the background to one sync of an open file
//! and to none after it, so that as long as an outcome is awaited nobody else syncs the file; an order that is lost counts as a sync
//! that failed. What is written while the order is carried out may be synced by it, and counts as not.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::disk::DiskFile;

/// To be carried out on any thread.
#[derive(Debug)]
pub(crate) struct SyncOrder {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    outcome: Sender<io::Result<()>>,
}

impl SyncOrder {
    /// An order, and where its outcome will be, of a file that was written up to `end`.
    pub(super) fn new(file: Arc<dyn DiskFile>, path: PathBuf, end: u64) -> (Self, UnderWay) {
        let (sender, outcome) = bounded(1);
        let order = Self {
            file,
            path,
            outcome: sender,
        };
        (order, UnderWay { end, outcome })
    }

    /// Syncs the file, and says what came of it.
    pub(crate) fn carry_out(self) {
        if let Err(unheard) = self.outcome.send(self.file.sync()) {
            // The stream was replaced meanwhile. What goes on of it was copied, and that was synced.
            if let Err(error) = unheard.into_inner() {
                let path = self.path.display();
                tracing::warn!(%error, %path, "a file that is in use no longer couldn't be synced");
            }
        }
    }
}

/// An order of which the outcome isn't known yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// Up to where the file is synced if it succeeds.
    pub(super) end: u64,
    outcome: Receiver<io::Result<()>>,
}

impl UnderWay {
    /// What came of it; none as long as that isn't known.
    pub(super) fn look(&self) -> Option<io::Result<()>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(lost())),
        }
    }

    /// Waits for what comes of it.
    pub(super) fn wait(&self) -> io::Result<()> {
        self.outcome.recv().unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> io::Error {
    io::Error::other("the thread that was to do it has died")
}
