//! A stream as the flusher keeps it: its appending end, how far it is stored, and what may be removed of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::spool::{Allocator, Group, Spare, SpoolError, Stream};

/// What a stream's writer says of itself.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last event that is stored, or set aside as a dead letter.
    stored: AtomicU64,
    /// The last event that this process may have stored, whatever became of it, or that was there before it.
    attempted: AtomicU64,
    /// When the oldest event that isn't was admitted, in microseconds since 1970; 0 if there is none.
    oldest_unstored: AtomicI64,
}

impl Progress {
    pub(crate) fn set_stored(&self, seq: u64) {
        self.stored.store(seq, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    pub(crate) fn attempt(&self, seq: u64) {
        self.attempted.fetch_max(seq, Ordering::Relaxed);
    }

    pub(crate) fn attempted(&self) -> u64 {
        self.attempted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_oldest_unstored(&self, unix_micros: i64) {
        self.oldest_unstored.store(unix_micros, Ordering::Relaxed);
    }

    pub(crate) fn oldest_unstored(&self) -> Option<i64> {
        let micros = self.oldest_unstored.load(Ordering::Relaxed);
        (micros != 0).then_some(micros)
    }
}

/// By then every lane has let go of what a stored segment has. One that is removed earlier would leave places that a start after a
/// kill takes for events that are nowhere, and stores again.
const LET_GO: Duration = Duration::from_secs(2);

/// What a writer needs of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) stream: Uuid,
    /// The last event that may be read; it never comes back once the flusher has ended.
    pub(crate) durable: watch::Receiver<u64>,
    pub(crate) progress: Arc<Progress>,
    /// The last event that was there before this process.
    pub(crate) inherited: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Appending {
    stream: Stream,
    durable: watch::Sender<u64>,
    progress: Arc<Progress>,
    /// The last events of segments that are stored, and since when that is known, oldest first.
    drained: VecDeque<(u64, Duration)>,
    inherited: u64,
}

impl Appending {
    pub(crate) fn new(stream: Stream) -> Self {
        let inherited = stream.next_seq() - 1;
        let progress = Arc::<Progress>::default();
        progress.attempt(inherited);
        Self {
            stream,
            durable: watch::Sender::new(inherited),
            progress,
            drained: VecDeque::new(),
            inherited,
        }
    }

    pub(crate) fn feed(&self) -> Feed {
        Feed {
            stream: self.stream.id(),
            durable: self.durable.subscribe(),
            progress: Arc::clone(&self.progress),
            inherited: self.inherited,
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.stream.id()
    }

    /// All of it was appended by this process.
    pub(crate) fn of_this_process(self) -> Self {
        Self {
            inherited: 0,
            progress: Arc::default(),
            ..self
        }
    }

    /// The last event.
    pub(crate) fn last_seq(&self) -> u64 {
        self.stream.next_seq() - 1
    }

    /// The last event before all of the newest segments, by their first events, that `is_recent` is true of.
    pub(crate) fn before(&self, is_recent: impl Fn(u64) -> bool) -> u64 {
        let segments = self.stream.segments();
        let recent = segments.iter().rev().map(|segment| segment.first_seq);
        let oldest = recent.take_while(|first_seq| is_recent(*first_seq)).last();
        oldest.map_or(self.last_seq(), |first_seq| first_seq - 1)
    }

    /// Appends a group and lets the writer know.
    pub(crate) fn append(&mut self, group: &mut Group) -> Result<(), SpoolError> {
        let appended = self.stream.append(group)?;
        self.durable.send_replace(appended.last_seq);
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        self.stream.sync()
    }

    pub(crate) fn ensure_room(&mut self, bytes: u64) -> Result<(), SpoolError> {
        self.stream.ensure_room(bytes)
    }

    /// Who can make the next segment, if one is wanted for so much room.
    pub(crate) fn wanted(&self, bytes: u64) -> Option<Allocator> {
        let is_wanted = self.stream.wants_room(bytes);
        is_wanted.then(|| self.stream.allocator())
    }

    pub(crate) fn add_spare(&mut self, spare: Spare) {
        self.stream.add_spare(spare);
    }

    pub(crate) fn room(&self) -> u64 {
        self.stream.room()
    }

    pub(crate) fn bytes_on_disk(&self) -> u64 {
        self.stream.bytes_on_disk()
    }

    /// Events that are on disk and not in the database.
    pub(crate) fn unstored(&self) -> u64 {
        self.last_seq().saturating_sub(self.progress.stored())
    }

    /// Segments that were left early because a write or a sync failed.
    pub(crate) fn given_up(&self) -> u64 {
        self.stream.poisoned()
    }

    pub(crate) fn oldest_unstored(&self) -> Option<i64> {
        self.progress.oldest_unstored()
    }

    /// Notes which segments are stored, and removes those that have been for `keep`, and for [`LET_GO`].
    pub(crate) fn retire(&mut self, now: Duration, keep: Duration) -> Result<(), SpoolError> {
        let stored = self.progress.stored();
        let segments = self.stream.segments();
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let noted = self.drained.back().map_or(0, |(last, _)| *last);
        let newly = sealed
            .iter()
            .map(|segment| segment.last_seq)
            .filter(|last| *last > noted && *last <= stored);
        self.drained.extend(newly.map(|last| (last, now)));
        // A cursor that went back needs them again.
        self.drained.retain(|(last, _)| *last <= stored);
        let keep = keep.max(LET_GO);
        while let Some((last, _)) = self
            .drained
            .front()
            .filter(|(_, since)| now.saturating_sub(*since) >= keep)
        {
            self.stream.remove_through(*last)?;
            self.drained.pop_front();
        }
        Ok(())
    }

    /// Removes the oldest stored segment, though it has not been kept as long as it should. Answers whether there was one.
    pub(crate) fn remove_oldest_drained(&mut self, now: Duration) -> Result<bool, SpoolError> {
        let is_old = |(_, since): &mut (u64, Duration)| now.saturating_sub(*since) >= LET_GO;
        let Some((last, _)) = self.drained.pop_front_if(is_old) else {
            return Ok(false);
        };
        Ok(self.stream.remove_through(last)?.segments > 0)
    }
}
