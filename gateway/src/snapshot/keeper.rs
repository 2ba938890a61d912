//! Keeps on disk what is in memory, for a start without the database.
//!
//! Guarantees: whoever offers a state never waits for the disk; one write at a time, at least two seconds after the last and for
//! a twentieth of the time at most; a failed one is said once, shown by a metric, and tried again. What changed and was not written yet is
//! lost to a kill.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Timestamp, error_chain};
use metrics::gauge;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::disk::{Disk, DiskError};
use super::memory::{Contents, Edition};
use super::saved::Saved;

const LEAST_PAUSE: Duration = Duration::from_secs(2);
/// Pause for so many times what a write took.
const PAUSE_FACTOR: u32 = 20;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);
/// A file that says the same is written again after so long, or it would look older than what it holds.
const LONGEST_PAUSE_MICROS: i64 = 5 * 60 * 1_000_000;

/// A state that could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) edition: Edition,
    /// When it was last known to be like the database.
    pub(super) verified_at: Timestamp,
}

/// Writes the file, and reads it once.
pub(super) struct Keeper {
    disk: Disk,
    /// What its file is of.
    database: String,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    written: Option<Offer>,
    writing: Option<Writing>,
    /// Not before that, by the monotonic clock.
    next: Duration,
    failing: bool,
}

struct Writing {
    offer: Offer,
    /// How long it took.
    task: JoinHandle<Result<Duration, DiskError>>,
}

impl Keeper {
    pub(super) fn new(
        disk: Disk,
        database: String,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            disk,
            database,
            clock,
            tasks,
            written: None,
            writing: None,
            next: Duration::ZERO,
            failing: false,
        }
    }

    /// What an earlier process has left of this database. Says why there is nothing.
    pub(super) async fn read(&self) -> Option<Saved> {
        let (disk, database) = (self.disk.clone(), self.database.clone());
        let reading = self.tasks.spawn_blocking(move || disk.read(&database));
        let read = reading.await.unwrap_or_else(|error| Err(error.into()));
        let path = self.disk.path();
        let path = path.display();
        match read {
            Ok(Some(saved)) => return Some(saved),
            Ok(None) => tracing::info!(%path, "there is no snapshot on disk to start with"),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(%path, error, "the snapshot on disk is not used");
            }
        }
        None
    }

    /// Begins to write a state, if it is time and the file doesn't have it.
    pub(super) async fn offer(&mut self, offer: Offer, contents: impl FnOnce() -> Contents) {
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.task.is_finished())
        {
            return;
        }
        self.settle().await;
        if self.clock.monotonic() >= self.next && is_due(self.written, offer) {
            self.begin(offer, contents());
        }
    }

    /// Writes a state, unless the file has it, and waits until it is written.
    pub(super) async fn finish(&mut self, offer: Offer, contents: impl FnOnce() -> Contents) {
        self.settle().await;
        if self.written != Some(offer) {
            self.begin(offer, contents());
            self.settle().await;
        }
    }

    fn begin(&mut self, offer: Offer, contents: Contents) {
        let (disk, database) = (self.disk.clone(), self.database.clone());
        let (clock, is_first) = (Arc::clone(&self.clock), self.written.is_none());
        let task = self.tasks.spawn_blocking(move || {
            let began = clock.monotonic();
            if is_first {
                disk.remove_drafts();
            }
            disk.write(&Saved::new(database, offer.verified_at, contents))?;
            Ok(clock.monotonic().saturating_sub(began))
        });
        self.writing = Some(Writing { offer, task });
    }

    /// Waits for the running write, and notes what became of it.
    async fn settle(&mut self) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let ended = (&mut writing.task).await;
        let offer = writing.offer;
        self.writing = None;
        let pause = match ended.unwrap_or_else(|error| Err(error.into())) {
            Ok(took) => {
                self.written = Some(offer);
                self.failing = false;
                (took * PAUSE_FACTOR).max(LEAST_PAUSE)
            }
            Err(error) => {
                self.failed(&error);
                PAUSE_AFTER_FAILURE
            }
        };
        self.next = self.clock.monotonic() + pause;
        gauge!("mindweave_snapshot_file_faulty").set(if self.failing { 1.0 } else { 0.0 });
    }

    fn failed(&mut self, error: &DiskError) {
        let (path, error) = (self.disk.path(), error_chain(error));
        let path = path.display();
        if self.failing {
            tracing::debug!(%path, error, "the snapshot on disk still can't be written");
        } else {
            tracing::warn!(
                %path,
                error,
                "the snapshot on disk can't be written: a start without the database has an old one or none"
            );
        }
        self.failing = true;
    }
}

/// Whether the file should be written.
fn is_due(written: Option<Offer>, offer: Offer) -> bool {
    written.is_none_or(|written| {
        let later = offer.verified_at.unix_micros;
        let younger = later.saturating_sub(written.verified_at.unix_micros);
        written.edition != offer.edition || younger >= LONGEST_PAUSE_MICROS
    })
}

#[cfg(test)]
mod tests;
