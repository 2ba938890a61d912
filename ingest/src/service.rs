//! The event's way put together: lanes, the flusher thread, the spool, the writers.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::{Clock, Prices};
use futures_util::FutureExt as _;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::appending::Feed;
use crate::bell::Bell;
use crate::capacity::Capacity;
use crate::database::Database;
use crate::decided::Decided;
use crate::flusher::{Flushed, Flusher};
use crate::lane::{Files, Lane, LaneEnd};
use crate::mapped::Places;
use crate::metrics::{LaneMetrics, SpoolMetrics, WriterMetrics};
use crate::recovery;
use crate::spool::Group;
use crate::spooled::Spooled;
use crate::streams::{SpoolOptions, SpoolStartError, Streams};
use crate::writer::{self, Shared, Writer};

/// Events of one lane that are kept at the most; more wait for the flusher.
const KEPT_EVENTS: u32 = 4096;
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(5);

/// How events are gathered and stored.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lanes to make: one for each data-plane thread.
    pub lanes: usize,
    /// Writers, each with a stream and a connection of its own.
    pub writers: usize,
    /// Rows of one COPY at the most.
    pub batch_rows: usize,
    /// How long an event may wait for its batch.
    pub batch_interval: Duration,
    /// Requests and events in memory at the most, from admission to the spool.
    pub max_pending_events: usize,
    /// Where they wait for the database.
    pub spool: SpoolOptions,
}

/// Events that are not in the spool when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} usage events are not stored")]
pub struct Unstored(pub usize);

/// The room for events, as seen from outside.
#[derive(Debug, Clone)]
pub struct Room(Arc<Capacity>);

impl Room {
    /// Whether requests are refused for want of it, in memory or on disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

/// The running flusher and writers.
#[derive(Debug)]
pub struct Ingest {
    capacity: Arc<Capacity>,
    flusher: JoinHandle<Flushed>,
    give_up: Arc<AtomicBool>,
    writers: TaskTracker,
    stop: CancellationToken,
    files: Vec<PathBuf>,
    spooled: Spooled,
}

impl Ingest {
    /// Opens the spool, accounts for what an earlier process left, and starts the flusher thread, and the writers on the runtime this
    /// is called on. The database may be away. `decided` is told of usage that counts only once it is stored.
    ///
    /// # Errors
    /// If the spool can't be used, or the thread can't be started.
    pub fn start(
        options: &Options,
        database: &Database,
        clock: &Arc<dyn Clock>,
        prices: &Arc<Prices>,
        decided: Option<Sender<Decided>>,
    ) -> Result<(Self, Vec<Lane>), SpoolStartError> {
        let root = &options.spool.dir;
        let (replacements, replace) = crossbeam_channel::unbounded();
        let mut streams = Streams::open(&options.spool, options.writers, replace)?;
        let metrics = SpoolMetrics::register();
        recover(root, &mut streams)?;
        let spooled = streams.spooled();

        let capacity = Arc::new(Capacity::new(options.max_pending_events));
        let bell = Bell::default();
        // Before the first room: where the disk is full, what is there can only be stored by a gateway that has started.
        let (lanes, ends, files) = make_lanes(options, &capacity, &bell)?;
        if let Err(error) = streams.make_first_room() {
            // Nothing is admitted until there is room; what is there can be stored meanwhile.
            SpoolMetrics::failed(&error);
            tracing::error!(error = %domain::error_chain(&error), "the spool has no room");
        }
        capacity.set_room(streams.room());

        let feeds = streams.feeds();
        let shared = Shared {
            database: database.clone(),
            clock: Arc::clone(clock),
            prices: Arc::clone(prices),
            metrics: WriterMetrics::register(),
            tasks: TaskTracker::new(),
            disk: streams.disk(),
            root: root.clone(),
            batch_rows: options.batch_rows,
            batch_interval: options.batch_interval,
            replacements,
            decided,
            stop: CancellationToken::new(),
        };
        let give_up = Arc::<AtomicBool>::default();
        let flusher = Flusher {
            lanes: ends,
            bell: bell.clone(),
            is_kept: !options.spool.survives_power_loss,
            streams,
            capacity: Arc::clone(&capacity),
            clock: Arc::clone(clock),
            metrics,
            give_up: Arc::clone(&give_up),
            ordered_at: Duration::ZERO,
            is_failing: false,
        };
        let flusher = std::thread::Builder::new()
            .name("flusher".to_owned())
            .spawn(|| or_abort(|| flusher.run()))
            .map_err(SpoolStartError::io("start a thread for", root))?;
        bell.hang(flusher.thread().clone());
        let writers = TaskTracker::new();
        for feed in feeds {
            writers.spawn(keep_writing(shared.clone(), feed));
        }
        let ingest = Self {
            capacity,
            flusher,
            give_up,
            writers,
            stop: shared.stop,
            files,
            spooled,
        };
        Ok((ingest, lanes))
    }

    /// A look at the room for events that outlives this handle.
    #[must_use]
    pub fn room(&self) -> Room {
        Room(Arc::clone(&self.capacity))
    }

    /// A look at what earlier processes have left in the spool, requests that they didn't bring to an end included.
    #[must_use]
    pub fn spooled(&self) -> Spooled {
        self.spooled.clone()
    }

    /// Requests under way and events that are not in the spool yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.capacity.taken()
    }

    /// Puts what is left into the spool, and stores it if the database is there. To be called when every lane has been dropped.
    /// Answers how many events wait in the spool for the next start.
    ///
    /// # Errors
    /// If something isn't even in the spool after `deadline`: how many events.
    pub async fn finish(self, deadline: Duration) -> Result<u64, Unstored> {
        self.stop.cancel();
        self.writers.close();
        // What decides is what was stored, not whether time ran out.
        let _in_time = tokio::time::timeout(deadline, self.writers.wait()).await;
        self.give_up.store(true, Ordering::Relaxed);
        let flusher = tokio::task::spawn_blocking(|| self.flusher.join());
        // The folder is this process' own until its files are gone.
        let Ok(Ok(Flushed {
            unspooled,
            feeds,
            lock: _lock,
        })) = flusher.await
        else {
            tracing::error!("the flusher thread had panicked");
            return Err(Unstored(self.capacity.taken()));
        };
        if unspooled > 0 {
            return Err(Unstored(unspooled));
        }
        debug_assert_eq!(self.capacity.taken(), 0, "every admitted request has ended");
        // Every request has its event: there is nothing to recover.
        for path in self.files {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(%error, path = %path.display(), "a file of requests that have all ended stays behind");
            }
        }
        let waiting = feeds
            .iter()
            .map(|feed| feed.durable.borrow().saturating_sub(feed.progress.stored()));
        Ok(waiting.sum())
    }
}

/// Without the flusher every answer would wait for ever, after its money is spent. What it has is on disk, or has its trace
/// there: the next process accounts for it.
fn or_abort<T>(run: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        tracing::error!("the flusher has panicked; the gateway ends, and loses nothing by it");
        std::process::abort()
    })
}

/// A writer that panics begins anew: what it hasn't stored is on disk.
async fn keep_writing(shared: Shared, feed: Feed) {
    // Of whatever stream has taken the first one's place.
    let latest = Arc::new(Mutex::new(feed));
    loop {
        let writer = Writer::new(shared.clone(), Arc::clone(&latest)).run();
        if AssertUnwindSafe(writer).catch_unwind().await.is_ok() {
            return;
        }
        let stream = writer::feed(&latest).stream;
        tracing::error!(%stream, "a writer has panicked, and begins anew");
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
    }
}

/// What an earlier process had admitted and not brought into the spool comes there before anything else does.
fn recover(root: &Path, streams: &mut Streams) -> Result<(), SpoolStartError> {
    let left = recovery::left(root, streams)?;
    if left.records.is_empty() {
        return Ok(());
    }
    let mut group = Group::new();
    for record in &left.records {
        group.push(record).map_err(SpoolStartError::fault)?;
    }
    streams.append(&mut group).map_err(SpoolStartError::fault)?;
    // The files that they come from go, and that is synced as well.
    streams.sync().map_err(SpoolStartError::fault)?;
    let kept = left.records.len() - left.interrupted;
    if kept > 0 {
        tracing::info!(
            events = kept,
            "usage events that were on their way to the spool when the gateway died are in it now"
        );
    }
    SpoolMetrics::recovered(left.interrupted);
    if left.interrupted > 0 {
        tracing::warn!(
            requests = left.interrupted,
            "requests that were running when the gateway died are recorded as interrupted"
        );
    }
    Ok(())
}

type Lanes = (Vec<Lane>, Vec<LaneEnd>, Vec<PathBuf>);

fn make_lanes(
    options: &Options,
    capacity: &Arc<Capacity>,
    bell: &Bell,
) -> Result<Lanes, SpoolStartError> {
    let root = &options.spool.dir;
    recovery::remove_files(root)?;
    let metrics = LaneMetrics::register();
    // As many as there may be requests in all, in parts that need not be equal.
    let share = options.max_pending_events.div_ceil(options.lanes.max(1));
    let slots = (2 * share).min(options.max_pending_events);
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let (mut lanes, mut ends, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..options.lanes {
        let path = recovery::open_file(root, index);
        let open = Places::create(&path, slots).map_err(SpoolStartError::io("create", &path))?;
        paths.push(path);
        let kept = if options.spool.survives_power_loss {
            None
        } else {
            let path = recovery::kept_file(root, index);
            let kept =
                Places::create(&path, KEPT_EVENTS).map_err(SpoolStartError::io("create", &path))?;
            paths.push(path);
            Some(kept)
        };
        let (capacity, bell) = (Arc::clone(capacity), bell.clone());
        let (lane, end) = Lane::new(capacity, bell, Files { open, kept }, metrics.clone());
        lanes.push(lane);
        ends.push(end);
    }
    Ok((lanes, ends, paths))
}

#[cfg(test)]
mod tests;
