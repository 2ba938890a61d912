//! The event's way put together: lanes, the flusher thread, the writers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use domain::{Clock, Prices};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::TaskTracker;

use crate::capacity::Capacity;
use crate::database::Database;
use crate::flusher::Flusher;
use crate::lane::Lane;
use crate::metrics::LaneMetrics;
use crate::writer::Writer;

/// How events are gathered and stored.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lanes to make: one for each data-plane thread.
    pub lanes: usize,
    /// Writers, each with a connection of its own.
    pub writers: usize,
    /// Rows of one COPY at the most.
    pub batch_rows: usize,
    /// How long an event may wait for its batch.
    pub batch_interval: Duration,
    /// Events in memory at the most, from admission to storage.
    pub max_pending_events: usize,
}

/// Events that were not stored when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} usage events are not stored")]
pub struct Unstored(pub usize);

/// The memory for events, as seen from outside.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Capacity>);

impl Memory {
    /// Whether requests are refused for want of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.taken() >= self.0.limit()
    }
}

/// The running flusher and writers.
#[derive(Debug)]
pub struct Ingest {
    capacity: Arc<Capacity>,
    stop: crossbeam_channel::Sender<()>,
    flusher: JoinHandle<()>,
    writers: TaskTracker,
}

impl Ingest {
    /// Starts the flusher thread, and the writers on the runtime this is called on. The database may be away.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub fn start(
        options: &Options,
        database: &Database,
        clock: &Arc<dyn Clock>,
        prices: &Arc<Prices>,
    ) -> std::io::Result<(Self, Vec<Lane>)> {
        let capacity = Arc::new(Capacity::new(options.max_pending_events));
        let metrics = LaneMetrics::register();
        let (lanes, receivers) = (0..options.lanes)
            .map(|_| Lane::new(Arc::clone(&capacity), metrics.clone()))
            .unzip();
        let (batches, batches_receiver) = mpsc::channel(options.writers);
        let (stop, stop_receiver) = crossbeam_channel::bounded(0);
        let flusher = Flusher {
            lanes: receivers,
            batches,
            batch_rows: options.batch_rows,
            interval: options.batch_interval,
            stop: stop_receiver,
        };
        let flusher = std::thread::Builder::new()
            .name("flusher".to_owned())
            .spawn(|| flusher.run())?;
        let writers = start_writers(
            options.writers,
            database,
            (clock, prices),
            &capacity,
            batches_receiver,
        );
        Ok((
            Self {
                capacity,
                stop,
                flusher,
                writers,
            },
            lanes,
        ))
    }

    /// A look at the memory for events that outlives this handle.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory(Arc::clone(&self.capacity))
    }

    /// Events in memory, those of running requests included.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.capacity.taken()
    }

    /// Stores what is left. To be called when every lane has been dropped.
    ///
    /// # Errors
    /// If something is still unstored after `deadline`: how many events.
    pub async fn finish(self, deadline: Duration) -> Result<(), Unstored> {
        drop(self.stop);
        self.writers.close();
        // What decides is what was stored, not whether time ran out.
        let _in_time = tokio::time::timeout(deadline, self.writers.wait()).await;
        let pending = self.capacity.taken();
        if pending > 0 {
            return Err(Unstored(pending));
        }
        // The writers have ended, and they end after the flusher.
        if self.flusher.join().is_err() {
            tracing::error!("the flusher thread had panicked");
        }
        Ok(())
    }
}

fn start_writers(
    count: usize,
    database: &Database,
    (clock, prices): (&Arc<dyn Clock>, &Arc<Prices>),
    capacity: &Arc<Capacity>,
    batches: mpsc::Receiver<crate::Batch>,
) -> TaskTracker {
    let writers = TaskTracker::new();
    let connections = TaskTracker::new();
    let batches = Arc::new(Mutex::new(batches));
    for _ in 0..count {
        let writer = Writer::new(
            database.clone(),
            Arc::clone(clock),
            Arc::clone(prices),
            Arc::clone(capacity),
            connections.clone(),
        );
        writers.spawn(writer.run(Arc::clone(&batches)));
    }
    writers
}
