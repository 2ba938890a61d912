//! A stream as the flusher keeps it: its appending end, how far it is stored, and what may be removed of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::spool::{Allocator, Group, Spare, SpoolError, Stream, SyncOrder};

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
/// kill takes for events that are nowhere, and stores again. After a power loss a start finds the lanes' files as they were last
/// synced, which is why they are before a segment goes.
const LET_GO: Duration = Duration::from_secs(2);

/// What a writer needs of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) stream: Uuid,
    /// The last event that may be read; it never comes back once the flusher has ended.
    pub(crate) durable: watch::Receiver<u64>,
    pub(crate) progress: Arc<Progress>,
    /// The last event that was there when the database could last be asked, before this process or one before it.
    pub(crate) inherited: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Appending {
    stream: Stream,
    durable: watch::Sender<u64>,
    /// The last event when a sync was ordered of which the writer isn't let know yet.
    ordered: Option<u64>,
    progress: Arc<Progress>,
    /// The last events of segments that are stored, and since when that is known, oldest first.
    drained: VecDeque<(u64, Duration)>,
    inherited: u64,
}

impl Appending {
    /// Of a stream about which the database was last asked when `inherited` was its last event.
    pub(crate) fn new(stream: Stream, inherited: u64) -> Self {
        let progress = Arc::<Progress>::default();
        progress.attempt(inherited);
        let last_seq = stream.next_seq() - 1;
        Self {
            stream,
            durable: watch::Sender::new(last_seq),
            ordered: None,
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

    /// The last event.
    pub(crate) fn last_seq(&self) -> u64 {
        self.stream.next_seq() - 1
    }

    /// The last event before all of the newest segments, by their first events, that `is_recent` is true of. The last one is,
    /// whatever its time says: it was touched by whoever opened it.
    pub(crate) fn before(&self, is_recent: impl Fn(u64) -> bool) -> u64 {
        let segments = self.stream.segments();
        let mut newest = segments.iter().rev().map(|segment| segment.first_seq);
        let Some(last) = newest.next() else {
            return self.last_seq();
        };
        let oldest = newest.take_while(|first_seq| is_recent(*first_seq)).last();
        oldest.unwrap_or(last) - 1
    }

    /// Appends a group. The writer is let know of what survives a power loss: the database never knows more than the disk has.
    pub(crate) fn append(&mut self, group: &mut Group) -> Result<(), SpoolError> {
        let appended = self.stream.append(group)?;
        if self.stream.is_synced() {
            self.durable.send_replace(appended.last_seq);
        }
        Ok(())
    }

    /// Whether the writer waits for a sync of what was appended.
    pub(crate) fn is_held_back(&self) -> bool {
        *self.durable.borrow() < self.last_seq()
    }

    /// Makes durable what only the kernel has, and lets the writer know of it. If that fails, it has to be stored all the sooner.
    pub(crate) fn sync(&mut self) -> Result<(), SpoolError> {
        let synced = self.stream.sync();
        self.ordered = None;
        self.tell(self.last_seq());
        synced
    }

    /// An order to do that for what was appended by now; none if nothing is held back, or if one is under way.
    pub(crate) fn order_sync(&mut self) -> Option<SyncOrder> {
        if !self.is_held_back() || self.ordered.is_some() {
            return None;
        }
        let order = self.stream.order_sync();
        if order.is_some() {
            self.ordered = Some(self.last_seq());
        } else {
            // In files that were sealed or given up since.
            self.tell(self.last_seq());
        }
        order
    }

    /// Lets the writer know of what was synced by order. If that failed, all that there is has to be stored all the sooner.
    pub(crate) fn take_outcome(&mut self) -> Result<(), SpoolError> {
        let outcome = self.stream.take_outcome();
        if outcome.is_err() {
            self.ordered = None;
            self.tell(self.last_seq());
        } else if !self.stream.is_being_synced()
            && let Some(ordered) = self.ordered.take()
        {
            self.tell(ordered);
        }
        outcome
    }

    /// Lets the writer know of events up to this one, and never of fewer than before.
    fn tell(&self, seq: u64) {
        self.durable.send_if_modified(|told| {
            let is_more = seq > *told;
            *told = seq.max(*told);
            is_more
        });
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

    #[cfg(test)]
    pub(crate) fn segments(&self) -> usize {
        self.stream.segments().len()
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

    /// Notes which segments are stored. Answers whether some have been for `keep`, and for [`LET_GO`].
    pub(crate) fn note_drained(&mut self, now: Duration, keep: Duration) -> bool {
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
        self.oldest_drained(now, keep).is_some()
    }

    /// Removes those.
    pub(crate) fn retire(&mut self, now: Duration, keep: Duration) -> Result<(), SpoolError> {
        while let Some(last) = self.oldest_drained(now, keep) {
            self.stream.remove_through(last)?;
            self.drained.pop_front();
        }
        Ok(())
    }

    /// Whether there is a stored segment that could be removed now.
    pub(crate) fn has_drained(&self, now: Duration) -> bool {
        self.oldest_drained(now, Duration::ZERO).is_some()
    }

    /// Removes the oldest stored segment, though it has not been kept as long as it should. Answers whether there was one.
    pub(crate) fn remove_oldest_drained(&mut self, now: Duration) -> Result<bool, SpoolError> {
        let Some(last) = self.oldest_drained(now, Duration::ZERO) else {
            return Ok(false);
        };
        self.drained.pop_front();
        Ok(self.stream.remove_through(last)?.segments > 0)
    }

    fn oldest_drained(&self, now: Duration, keep: Duration) -> Option<u64> {
        let (last, since) = self.drained.front()?;
        (now.saturating_sub(*since) >= keep.max(LET_GO)).then_some(*last)
    }
}
