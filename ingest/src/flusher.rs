//! The flusher thread: gathers events from all lanes into batches.
//!
//! It wakes by the clock and not by each event, so that handing an event over costs its sender no wake-up.
//! While the writers are behind it stops gathering, and events wait in their lanes, which are bounded.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use domain::UsageEvent;
use tokio::sync::mpsc;

use crate::batch::Batch;

pub(crate) struct Flusher {
    pub(crate) lanes: Vec<Receiver<Box<UsageEvent>>>,
    pub(crate) batches: mpsc::Sender<Batch>,
    pub(crate) batch_rows: usize,
    pub(crate) interval: Duration,
    /// Disconnected when the lanes' senders are gone and what is left shall be flushed without delay.
    pub(crate) stop: Receiver<()>,
}

impl Flusher {
    /// Runs until every lane is closed and empty, or the writers are gone.
    pub(crate) fn run(mut self) {
        let mut stopping = false;
        while !self.lanes.is_empty() {
            if !stopping {
                stopping =
                    self.stop.recv_timeout(self.interval) == Err(RecvTimeoutError::Disconnected);
            } else {
                // The last requests are still ending: look again soon.
                std::thread::sleep(Duration::from_millis(5));
            }
            if self.flush().is_err() {
                tracing::error!("the writers are gone; events stay unstored");
                return;
            }
        }
    }

    /// Sends all that the lanes hold now.
    fn flush(&mut self) -> Result<(), WritersGone> {
        loop {
            let batch = self.gather();
            let rows = batch.len();
            if rows > 0 {
                self.batches.blocking_send(batch).map_err(|_| WritersGone)?;
            }
            if rows < self.batch_rows {
                return Ok(());
            }
        }
    }

    /// Takes up to a batch, lane by lane; forgets lanes that are closed and empty.
    fn gather(&mut self) -> Batch {
        let mut batch = Batch::new();
        let full = self.batch_rows;
        self.lanes.retain(|lane| {
            while batch.len() < full {
                match lane.try_recv() {
                    Ok(event) => batch.push(*event),
                    Err(TryRecvError::Empty) => return true,
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
            true
        });
        batch
    }
}

struct WritersGone;
