//! The flusher thread: takes events from all lanes, appends them to the spool in groups, and tells the lanes when they are
//! durable.
//!
//! Guarantees: an event is acknowledged only when it is in the spool; a group goes whole to one stream; a spool that fails is tried
//! again without end, and meanwhile nothing is admitted. What gathers while a group is being synced makes the next one, and where
//! that was more than one event, so does what comes in a short rest thereafter ([`rest`]): a sync costs more than anything that is
//! done about an event, and on a fast disk a busy gateway would do little else. Where lanes keep what they hand over, nobody waits, and the flusher looks by
//! itself every [`PAUSE`] as long as there is something: a wake-up for each event would cost more than the event. There it has the
//! spool synced by another thread, and goes on appending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::TryRecvError;
use domain::{Clock, error_chain};

use crate::appending::Feed;
use crate::bell::Bell;
use crate::capacity::{Capacity, EVENT_BYTES};
use crate::lane::LaneEnd;
use crate::lock::Lock;
use crate::metrics::SpoolMetrics;
use crate::record;
use crate::spool::{Group, SpoolError};
use crate::streams::Streams;

/// A group of so many events is large enough.
const GROUP_EVENTS: usize = 1024;
/// And so is one of so many bytes.
const GROUP_BYTES: u64 = 1 << 20;
/// How often room is made and what is stored is removed, at the least.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Between two groups of events that nobody waits for.
const PAUSE: Duration = Duration::from_millis(10);
/// How long what is only in the kernel's hands may wait until its sync begins, and its writer for that.
const SYNC_EVERY: Duration = Duration::from_millis(100);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// A rest is so many times as long as the sync before.
const REST_OF_SYNCS: u32 = 3;
/// And no longer than this: what a slow disk takes is rest enough.
const LONGEST_REST: Duration = Duration::from_micros(500);

pub(crate) struct Flusher {
    pub(crate) lanes: Vec<LaneEnd>,
    pub(crate) bell: Bell,
    /// Lanes keep what they hand over.
    pub(crate) is_kept: bool,
    pub(crate) streams: Streams,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: SpoolMetrics,
    /// Set when what the spool doesn't take shall not be waited for any longer.
    pub(crate) give_up: Arc<AtomicBool>,
    /// When syncs were ordered that nobody waits for.
    pub(crate) ordered_at: Duration,
    /// The spool takes nothing at the moment.
    pub(crate) is_failing: bool,
}

/// What was left when the flusher ended.
#[derive(Debug)]
pub(crate) struct Flushed {
    /// Events that are not in the spool.
    pub(crate) unspooled: usize,
    /// The streams, as they are at last.
    pub(crate) feeds: Vec<Feed>,
    /// Of the folder.
    pub(crate) lock: Lock,
}

/// Events on their way to the spool.
#[derive(Default)]
struct Gathered {
    group: Group,
    events: usize,
    /// How many of each lane.
    by_lane: Vec<u64>,
}

impl Flusher {
    /// Runs until every lane is closed and empty, or it shall give up.
    pub(crate) fn run(mut self) -> Flushed {
        let unspooled = self.flush_all();
        Flushed {
            unspooled,
            feeds: self.streams.feeds(),
            lock: self.streams.into_lock(),
        }
    }

    fn flush_all(&mut self) -> usize {
        let mut gathered = Gathered {
            by_lane: vec![0; self.lanes.len()],
            ..Gathered::default()
        };
        let mut kept_house_at = None;
        loop {
            let now = self.clock.monotonic();
            if kept_house_at.is_none_or(|at| now.saturating_sub(at) >= HOUSEKEEPING) {
                self.keep_house(now);
                kept_house_at = Some(now);
            }
            self.have_synced(now);
            let mut is_open = self.gather(&mut gathered);
            if gathered.events == 0 && is_open && self.streams.is_held_back() {
                Bell::sleep(PAUSE);
                continue;
            }
            if gathered.events == 0 && is_open {
                self.bell.is_about_to_sleep();
                is_open = self.gather(&mut gathered);
                if gathered.events == 0 && is_open {
                    Bell::sleep(HOUSEKEEPING);
                }
                self.bell.is_awake();
            }
            if gathered.events == 0 {
                if is_open {
                    continue;
                }
                self.sync();
                self.keep_house(self.clock.monotonic());
                return 0;
            }
            let is_full = !gathered.has_place();
            let Some(took) = self.append(&mut gathered) else {
                self.sync();
                return self.capacity.taken();
            };
            if !is_open || is_full {
                continue;
            }
            if self.is_kept {
                Bell::sleep(PAUSE);
            } else if let Some(rest) = rest(gathered.events, took) {
                std::thread::sleep(rest);
            }
        }
    }

    /// Takes up to a group, lane by lane. Answers whether there may be more to come.
    fn gather(&self, gathered: &mut Gathered) -> bool {
        gathered.clear();
        let mut is_open = false;
        for (index, lane) in self.lanes.iter().enumerate() {
            is_open |= loop {
                if !gathered.has_place() {
                    break true;
                }
                match lane.events.try_recv() {
                    Ok(record) => gathered.add(index, &record),
                    Err(TryRecvError::Empty) => break true,
                    Err(TryRecvError::Disconnected) => break false,
                }
            };
        }
        is_open
    }

    /// Appends a group, however often it takes. Answers how long it took; none if it gave up.
    fn append(&mut self, gathered: &mut Gathered) -> Option<Duration> {
        let started = self.clock.monotonic();
        while let Err(error) = self.streams.append(&mut gathered.group) {
            self.report(&error);
            // Whatever room there is: as long as it fails, nobody shall count on it.
            self.is_failing = true;
            if self.give_up.load(Ordering::Relaxed) {
                return None;
            }
            let now = self.clock.monotonic();
            // What another stream has is not held up by this one.
            self.have_synced(now);
            self.keep_house(now);
            std::thread::sleep(PAUSE_AFTER_FAILURE);
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the spool takes usage events again");
        }
        for (lane, events) in self.lanes.iter().zip(&gathered.by_lane) {
            if *events > 0 {
                lane.acks.acknowledge(*events);
            }
        }
        self.publish_room();
        self.capacity.give_back(gathered.events);
        if self.streams.is_short_of(self.under_way()) {
            self.keep_house(self.clock.monotonic());
        }
        let took = self.clock.monotonic().saturating_sub(started);
        self.metrics.appended(gathered.events, took);
        Some(took)
    }

    /// Makes room for what is under way, and lets go of what has been stored for long enough.
    fn keep_house(&mut self, now: Duration) {
        if let Err(error) = self.streams.keep_house(now, self.under_way()) {
            // Without room nothing is admitted; what needs none goes on.
            SpoolMetrics::failed(&error);
        }
        self.publish_room();
        self.lanes.iter_mut().for_each(LaneEnd::remind);
        self.metrics.show(&self.streams, self.clock.now());
    }

    /// Bytes that those will take that are admitted and not yet in the spool.
    fn under_way(&self) -> u64 {
        self.capacity.taken() as u64 * EVENT_BYTES
    }

    /// Has what no request waits for synced, so that it can be stored, and lets writers know of what is.
    fn have_synced(&mut self, now: Duration) {
        if !self.streams.is_held_back() {
            return;
        }
        if let Err(error) = self.streams.take_outcomes() {
            SpoolMetrics::failed(&error);
        }
        if now.saturating_sub(self.ordered_at) >= SYNC_EVERY {
            self.streams.order_syncs();
            self.ordered_at = now;
        }
    }

    /// Syncs what is left.
    fn sync(&mut self) {
        if let Err(error) = self.streams.sync() {
            SpoolMetrics::failed(&error);
        }
    }

    fn publish_room(&self) {
        let room = self.streams.room();
        self.capacity
            .set_room(if self.is_failing { 0 } else { room });
    }

    fn report(&self, error: &SpoolError) {
        SpoolMetrics::failed(error);
        let chain = error_chain(error);
        if self.is_failing {
            tracing::debug!(error = %chain, "the spool still fails");
        } else {
            tracing::error!(error = %chain, "the spool takes no usage events; answers wait for it, and nothing new is admitted");
        }
    }
}

/// How long others are let come before the next sync, after one of so many events that took so long. After one that came alone none:
/// others hardly come.
fn rest(events: usize, took: Duration) -> Option<Duration> {
    (events > 1).then(|| (took * REST_OF_SYNCS).min(LONGEST_REST))
}

impl Gathered {
    fn clear(&mut self) {
        self.group.clear();
        self.events = 0;
        self.by_lane.fill(0);
    }

    fn has_place(&self) -> bool {
        self.events < GROUP_EVENTS && self.group.frame_bytes() < GROUP_BYTES
    }

    fn add(&mut self, lane: usize, record: &[u8]) {
        if let Err(error) = self.group.push(record) {
            // Far beyond what the meter keeps of an answer.
            let request_id = record::request_id(record).unwrap_or_default();
            tracing::error!(%request_id, error = %error_chain(&error), "a usage event is too large to be stored");
        }
        self.events += 1;
        if let Some(count) = self.by_lane.get_mut(lane) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests;
