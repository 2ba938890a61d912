//! A lane carries the events of one data-plane thread to the flusher, and back the word that they are durable.
//!
//! Order of life: [`Lane::admit`] before the request is forwarded, [`Slot::submit`] when it has ended, and the [`Ticket`] is
//! ready when the event has survived whatever the spool's durability promises. A slot that is dropped instead gives its
//! place back: the request never became an event.
//!
//! Handing over is a lock-free send that never waits. With durability `process` the lane keeps the event itself until it is in the
//! spool (`kept.rs`): its ticket is ready at once, and nobody has to be woken for it. Else the flusher wakes a lane once for all
//! the events of a group; the lane wakes who waits, on its own thread. One that nobody waits in is woken once a second, to let go
//! of what is in the spool.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use crossbeam_channel::{Receiver, Sender};
use domain::UsageEvent;
use futures_util::task::AtomicWaker;

use crate::bell::{Bell, LastRing};
use crate::capacity::Capacity;
use crate::kept::KeptPlaces;
use crate::metrics::LaneMetrics;
use crate::open_slots::{OpenSlots, Opening};
use crate::record;

/// Records are cut from pieces of memory of this size, of which each has room for many.
const PIECE_BYTES: usize = 32 << 10;
/// Nearly every record is shorter.
const RECORD_BYTES: usize = 2048;

/// One data-plane thread's way to the flusher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Records, as `record.rs` makes them.
    events: Sender<Bytes>,
    /// Rung when there is something in a lane that somebody waits for, or a flusher that wouldn't look; and, since it stands behind them,
    /// when there is nobody left to put anything there.
    bell: LastRing,
    capacity: Arc<Capacity>,
    acks: Arc<Acks>,
    local: Mutex<Local>,
    metrics: LaneMetrics,
}

/// The flusher's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneEnd {
    pub(crate) events: Receiver<Bytes>,
    pub(crate) acks: Arc<Acks>,
    /// What the lane was last told to let go.
    told: u64,
}

impl LaneEnd {
    /// Has a lane without requests let go of what is in the spool, too.
    pub(crate) fn remind(&mut self) {
        let spooled = self.acks.spooled();
        if spooled != std::mem::replace(&mut self.told, spooled) {
            self.acks.lane.wake();
        }
    }
}

/// How many events of a lane are in the spool; they are acknowledged in the order they were handed over in.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    spooled: AtomicU64,
    /// Somebody waits for one that isn't.
    is_awaited: AtomicBool,
    lane: AtomicWaker,
}

/// The mapped files of a lane.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) open: OpenSlots,
    /// Where events are kept until they are in the spool, if being there is as good.
    pub(crate) kept: Option<KeptPlaces>,
}

/// What only the lane's own thread touches: the lock is never contended.
#[derive(Debug)]
struct Local {
    submitted: u64,
    /// The last one that isn't kept here.
    not_kept: u64,
    /// Handed over and not yet known to be in the spool, in order.
    waiting: VecDeque<Waiting>,
    /// How many wait for them.
    wakers: usize,
    files: Files,
    records: BytesMut,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    open: Option<u32>,
    kept: Option<u32>,
    /// Of who waits for it: those as well whose own events are kept and came behind it.
    wakers: Vec<Waker>,
}

impl Acks {
    /// So many more events are in the spool.
    pub(crate) fn acknowledge(&self, events: u64) {
        // All in one order: either who begins to wait sees the count, or that somebody waits is seen here.
        self.spooled.fetch_add(events, Ordering::SeqCst);
        if self.is_awaited.load(Ordering::SeqCst) {
            self.lane.wake();
        }
    }

    fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::SeqCst)
    }
}

impl Lane {
    pub(crate) fn new(
        capacity: Arc<Capacity>,
        bell: Bell,
        files: Files,
        metrics: LaneMetrics,
    ) -> (Self, LaneEnd) {
        // As long as the capacity that it shares: an event with a place always finds room.
        let (events, receiver) = crossbeam_channel::bounded(capacity.limit());
        let acks = Arc::new(Acks::default());
        let lane = Self(Arc::new(Shared {
            events,
            bell: LastRing(bell),
            capacity,
            acks: Arc::clone(&acks),
            local: Mutex::new(Local {
                submitted: 0,
                not_kept: 0,
                waiting: VecDeque::new(),
                wakers: 0,
                files,
                records: BytesMut::new(),
            }),
            metrics,
        }));
        let end = LaneEnd {
            events: receiver,
            acks,
            told: 0,
        };
        (lane, end)
    }

    /// Takes the place of one event, of something that can be asked for again; `None` if there is no room.
    #[must_use]
    pub fn reserve(&self) -> Option<Slot> {
        self.take(None)
    }

    /// Takes the place of a request's event, and leaves a trace of the request that survives a kill of the process; `None` if
    /// there is no room.
    #[must_use]
    pub fn admit(&self, opening: &Opening<'_>) -> Option<Slot> {
        self.take(Some(opening))
    }

    fn take(&self, opening: Option<&Opening<'_>>) -> Option<Slot> {
        let lane = &*self.0;
        if !lane.capacity.try_take() {
            return None;
        }
        let mut local = lane.local();
        // Places of what is in the spool by now are free, whether or not anybody has been woken yet.
        let woken = local.let_go(lane.acks.spooled());
        let slots = &mut local.files.open;
        let open = opening.map(|opening| slots.take(|slot| opening.write(slot)));
        drop(local);
        woken.into_iter().for_each(Waker::wake);
        if open == Some(None) {
            lane.capacity.give_back(1);
            return None;
        }
        lane.metrics.admitted.increment(1);
        Some(Slot {
            lane: self.clone(),
            open: open.flatten(),
            used: false,
        })
    }

    /// Wakes who waits whenever the flusher says so. To be run on the lane's thread as long as anybody waits; it never ends.
    pub async fn acknowledge(&self) {
        poll_fn(|ctx| {
            self.0.wake(ctx.waker());
            Poll::<()>::Pending
        })
        .await;
    }
}

impl Shared {
    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for what is in the spool; `task` is woken for what isn't yet.
    fn wake(&self, task: &Waker) {
        // Before the count is looked at: who adds to it afterwards finds it.
        self.acks.lane.register(task);
        let mut local = self.local();
        let woken = local.let_go(self.acks.spooled());
        let is_awaited = local.wakers > 0;
        self.acks.is_awaited.store(is_awaited, Ordering::SeqCst);
        drop(local);
        // Outside the lock: who is woken may look again at once.
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Local {
    /// Forgets what is in the spool, and tells who waits for it.
    fn let_go(&mut self, spooled: u64) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(first) = self.waiting.pop_front_if(|first| first.number <= spooled) {
            if let Some(open) = first.open {
                self.files.open.release(open);
            }
            if let (Some(place), Some(kept)) = (first.kept, &mut self.files.kept) {
                kept.release(place);
            }
            self.wakers -= first.wakers.len();
            woken.extend(first.wakers);
        }
        woken
    }

    /// Puts an event behind the others. Answers its record, and up to which event the lane has to be in the spool for it, and all
    /// that were handed over before, to be durable.
    fn line_up(&mut self, event: &UsageEvent, open: Option<u32>) -> (Bytes, u64) {
        if self.records.capacity() < RECORD_BYTES {
            self.records = BytesMut::with_capacity(PIECE_BYTES);
        }
        record::encode(event, &mut self.records);
        let record = self.records.split().freeze();
        let places = self.files.kept.as_mut();
        let kept = places.and_then(|places| places.keep(&record));
        self.submitted += 1;
        let number = self.submitted;
        self.waiting.push_back(Waiting {
            number,
            open,
            kept,
            wakers: Vec::new(),
        });
        if kept.is_none() {
            self.not_kept = number;
        }
        (record, self.not_kept)
    }

    /// Has a waker woken once an event is in the spool; `None` if it was let go already.
    fn wait(&mut self, number: u64, waker: &Waker) -> Option<()> {
        let first = self.waiting.front()?.number;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        let wakers = &mut self.waiting.get_mut(place)?.wakers;
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
            self.wakers += 1;
        }
        Some(())
    }
}

/// The place of one event.
#[derive(Debug)]
#[must_use = "dropping a slot says that the request needs no event"]
pub struct Slot {
    lane: Lane,
    open: Option<u32>,
    used: bool,
}

impl Slot {
    /// Hands the event over. Never blocks, never fails while the flusher lives.
    pub fn submit(mut self, event: &UsageEvent) -> Ticket {
        self.used = true;
        let lane = &*self.lane.0;
        lane.metrics.closed.increment(1);
        let (record, awaited) = lane.local().line_up(event, self.open.take());
        if lane.events.try_send(record).is_err() {
            // Only if the flusher thread has died: the books (closed, stored) show it, and so does the log.
            tracing::error!("a usage event could not be handed over: the flusher is gone");
        }
        let bell = &lane.bell.0;
        if awaited <= lane.acks.spooled() {
            bell.ring_if_idle();
            return Ticket(None);
        }
        bell.ring();
        Ticket(Some((self.lane.clone(), awaited)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let lane = &*self.lane.0;
        lane.metrics.closed.increment(1);
        if let Some(open) = self.open.take() {
            lane.local().files.open.release(open);
        }
        lane.capacity.give_back(1);
    }
}

/// Ready when an event is durable, and all that its lane was given before. Whoever doesn't care drops it.
#[derive(Debug)]
pub struct Ticket(Option<(Lane, u64)>);

impl Ticket {
    /// Whether it is already.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        let Some((lane, number)) = &self.0 else {
            return true;
        };
        lane.0.acks.spooled() >= *number
    }
}

impl Future for Ticket {
    type Output = ();

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        if self.is_durable() {
            return Poll::Ready(());
        }
        let Some((lane, number)) = &self.0 else {
            return Poll::Ready(());
        };
        let mut local = lane.0.local();
        if local.wait(*number, ctx.waker()).is_none() {
            return Poll::Ready(());
        }
        lane.0.acks.is_awaited.store(true, Ordering::SeqCst);
        drop(local);
        // It may have come into the spool before there was anybody to wake.
        if self.is_durable() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
