//! All streams of a spool: which of them are appended to, how much of the disk they take, and what is set aside.
//!
//! Guarantees: the spool never takes more than its bound; what is stored makes way for what isn't; a stream of which the
//! database knows more than the disk does is never taken for stored, but left as it is under another name.

mod house;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::allocating::Allocating;
use crate::appending::{Appending, Feed};
use crate::capacity::EVENT_BYTES;
use crate::lock::Lock;
use crate::replacing;
use crate::spool::{Disk, Durability, Group, OsDisk, Reader, SpoolError, Stream, StreamOptions};
use crate::spooled::Spooled;
use crate::syncing::Syncing;
use crate::unconfirmed;

/// Where and how events wait on disk.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// The folder.
    pub dir: PathBuf,
    /// Whether an answer waits for its event to survive a power loss, or a kill of the process alone.
    pub survives_power_loss: bool,
    /// What it may take on disk; by default half of what is free at the start, 64 GiB at the most.
    pub max_bytes: Option<u64>,
    /// How long stored events are kept, for a database that goes back in time.
    pub keep: Duration,
}

const LARGEST_DEFAULT_BYTES: u64 = 64 << 30;
const SEGMENT_BYTES: u64 = 32 << 20;
const SMALLEST_SEGMENT_BYTES: u64 = 256 << 10;
/// Room for so many events is there before anybody asks.
const ROOM_AHEAD: u64 = 256;

/// The spool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolStartError {
    /// Something about its folder.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Two processes would append to the same files.
    #[error("the spool {} is in use by {holder}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        holder: String,
    },
    /// A stream can't be read.
    #[error(transparent)]
    Stream(SpoolFault),
}

/// What is wrong with the files of a stream.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SpoolFault(#[from] pub(crate) SpoolError);

/// The streams of a spool; the flusher's.
#[derive(Debug)]
pub(crate) struct Streams {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    options: StreamOptions,
    max_bytes: u64,
    keep: Duration,
    /// Appended to in turn.
    current: Vec<Appending>,
    /// Of another number of writers, or of another gateway: drained, and never appended to.
    orphans: Vec<Appending>,
    turn: usize,
    allocating: Allocating,
    syncing: Syncing,
    replacements: crossbeam_channel::Receiver<Replace>,
    /// Those that have failed and are to be tried again.
    unreplaced: Vec<Replace>,
    lock: Lock,
}

/// A writer's word that the database has another stream of this name.
#[derive(Debug)]
pub(crate) struct Replace {
    pub(crate) stream: Uuid,
    /// What is behind it goes along: what is before is stored, or for whoever wrote it.
    pub(crate) behind: u64,
    pub(crate) feed: oneshot::Sender<Feed>,
}

impl Streams {
    /// Opens what there is, and makes as many streams as there are to be appended to.
    pub(crate) fn open(
        options: &SpoolOptions,
        count: usize,
        replacements: crossbeam_channel::Receiver<Replace>,
    ) -> Result<Self, SpoolStartError> {
        Self::open_on(Arc::new(OsDisk), options, count, replacements)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        options: &SpoolOptions,
        count: usize,
        replacements: crossbeam_channel::Receiver<Replace>,
    ) -> Result<Self, SpoolStartError> {
        let root = &options.dir;
        let mut lock = Lock::take(root)?;
        let max_bytes = match options.max_bytes {
            Some(bytes) => bytes,
            None => default_max_bytes(root)?,
        };
        let count_u64 = count as u64;
        let options_of_streams = StreamOptions {
            segment_bytes: (max_bytes / (count_u64 * 8))
                .clamp(SMALLEST_SEGMENT_BYTES, SEGMENT_BYTES),
            durability: if options.survives_power_loss {
                Durability::Fsync
            } else {
                Durability::Process
            },
            ..StreamOptions::default()
        };
        replacing::finish(root)?;
        lock.trust_notes(root)?;
        let mut ids = Stream::list(&*disk, root).map_err(SpoolStartError::fault)?;
        ids.sort_unstable();
        let mut streams = Vec::new();
        for id in ids {
            let stream = Stream::open(Arc::clone(&disk), root, id, options_of_streams);
            let stream = stream.map_err(SpoolStartError::fault)?;
            let inherited = inherited(root, &stream)?;
            streams.push(Appending::new(stream, inherited));
        }
        let orphans = streams.split_off(streams.len().min(count));
        while streams.len() < count {
            let stream =
                Stream::create(Arc::clone(&disk), root, Uuid::now_v7(), options_of_streams);
            streams.push(Appending::new(stream.map_err(SpoolStartError::fault)?, 0));
        }
        Ok(Self {
            disk,
            root: root.clone(),
            options: options_of_streams,
            max_bytes,
            keep: options.keep,
            current: streams,
            orphans,
            turn: 0,
            allocating: Allocating::start()
                .map_err(SpoolStartError::io("start a thread for", root))?,
            syncing: Syncing::start().map_err(SpoolStartError::io("start a thread for", root))?,
            replacements,
            unreplaced: Vec::new(),
            lock,
        })
    }

    pub(crate) fn feeds(&self) -> Vec<Feed> {
        let all = self.current.iter().chain(&self.orphans);
        all.map(Appending::feed).collect()
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// A look at what is there now.
    pub(crate) fn spooled(&self) -> Spooled {
        let all = self.current.iter().chain(&self.orphans);
        Spooled {
            disk: self.disk(),
            root: self.root.clone(),
            ends: all.map(|stream| (stream.id(), stream.last_seq())).collect(),
        }
    }

    /// Appends a group to the next stream.
    pub(crate) fn append(&mut self, group: &mut Group) -> Result<(), SpoolError> {
        // A group that fails may be on disk all the same: it has to be repeated under the same numbers, in the same stream.
        if let Some(stream) = self.current.get_mut(self.turn) {
            stream.append(group)?;
        }
        self.turn = (self.turn + 1) % self.current.len().max(1);
        Ok(())
    }

    /// Makes durable what was appended, whatever the durability promises. The first thing that fails is the error; the rest is done
    /// all the same.
    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        let synced = self.current.iter_mut().map(Appending::sync);
        synced.fold(Ok(()), Result::and)
    }

    /// Has the same done beside appending, where it isn't under way.
    pub(crate) fn order_syncs(&mut self) {
        let orders = self.current.iter_mut().filter_map(Appending::order_sync);
        orders.for_each(|order| self.syncing.order(order));
    }

    /// Takes what came of that by now. The first thing that failed is the error.
    pub(crate) fn take_outcomes(&mut self) -> Result<(), SpoolError> {
        let outcomes = self.current.iter_mut().map(Appending::take_outcome);
        outcomes.fold(Ok(()), Result::and)
    }

    /// Whether writers wait for that.
    pub(crate) fn is_held_back(&self) -> bool {
        self.current.iter().any(Appending::is_held_back)
    }

    /// Lets go of all but the folder, which is nobody else's yet.
    pub(crate) fn into_lock(self) -> Lock {
        self.lock
    }

    /// What can be appended without asking the disk for anything.
    pub(crate) fn room(&self) -> u64 {
        // Groups go to the streams in turn: the one with the least room says when it is over.
        let least = self.current.iter().map(Appending::room).min();
        least.unwrap_or(0).saturating_mul(self.current.len() as u64)
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let all = self.current.iter().chain(&self.orphans);
        all.map(Appending::bytes_on_disk).sum()
    }

    /// Events that are on disk and not in the database.
    pub(crate) fn unstored(&self) -> u64 {
        let all = self.current.iter().chain(&self.orphans);
        all.map(Appending::unstored).sum()
    }

    /// Segments that were left early because a write or a sync failed.
    pub(crate) fn given_up(&self) -> u64 {
        self.current.iter().map(Appending::given_up).sum()
    }

    /// When the oldest of them was admitted, in microseconds since 1970.
    pub(crate) fn oldest_unstored(&self) -> Option<i64> {
        let all = self.current.iter().chain(&self.orphans);
        all.filter_map(Appending::oldest_unstored).min()
    }

    /// Whether room should be made before long.
    pub(crate) fn is_short_of(&self, under_way: u64) -> bool {
        self.room() < under_way + ROOM_AHEAD * EVENT_BYTES / 2
    }

    /// The payloads of all that may have been written since a moment, in microseconds since 1970.
    pub(crate) fn each_since(
        &self,
        unix_micros: i64,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(), SpoolError> {
        for stream in self.current.iter().chain(&self.orphans) {
            let (id, last) = (stream.id(), stream.last_seq());
            let behind = stream.before(|first_seq| {
                let path = self.root.join(format!("{id}/{first_seq:020}.seg"));
                written_since(&path, unix_micros)
            });
            let mut reader = Reader::behind(Arc::clone(&self.disk), &self.root, id, behind)?;
            while let Some(frame) = reader.next(last)? {
                see(frame.payload);
            }
        }
        Ok(())
    }
}

/// Clocks may differ by so much between a write and what is told of its time.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// If nobody knows, it may have been.
fn written_since(path: &Path, unix_micros: i64) -> bool {
    let since = Duration::from_micros(unix_micros.max(0).unsigned_abs());
    let modified = std::fs::metadata(path).and_then(|file| file.modified());
    modified.is_ok_and(|at| {
        let age = at.duration_since(std::time::SystemTime::UNIX_EPOCH);
        age.is_ok_and(|at| at + CLOCK_SLACK >= since)
    })
}

impl SpoolStartError {
    pub(crate) fn fault(error: SpoolError) -> Self {
        Self::Stream(SpoolFault(error))
    }

    /// Says what was tried, and with what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

fn default_max_bytes(root: &Path) -> Result<u64, SpoolStartError> {
    let stat = rustix::fs::statvfs(root).map_err(io::Error::from);
    let stat = stat.map_err(SpoolStartError::io("find out what is free in", root))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    Ok((free / 2).min(LARGEST_DEFAULT_BYTES))
}

/// The last event of a stream when the database could last be asked about it.
fn inherited(root: &Path, stream: &Stream) -> Result<u64, SpoolStartError> {
    let last = stream.next_seq() - 1;
    match unconfirmed::note(root, stream.id(), last) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            // What is there has to be stored, which makes room.
            tracing::warn!(stream = %stream.id(), "the disk is full: how far the database knows a stream isn't noted");
            Ok(last)
        }
        noted => noted.map_err(SpoolStartError::io(
            "note how far the database knows a stream in",
            root,
        )),
    }
}

#[cfg(test)]
mod tests;
