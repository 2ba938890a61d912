//! A lane carries the events of one data-plane thread to the flusher, and back the word that they are durable.
//!
//! Order of life: [`Lane::admit`] before the request is forwarded, [`Slot::submit`] when it has ended, and the [`Ticket`] is
//! ready when the event has survived whatever the spool's durability promises. A slot that is dropped instead gives its
//! place back: the request never became an event.
//!
//! Handing over is a lock-free send that never waits. The flusher wakes a lane once for all the events of a group; the lane
//! wakes who waits, on its own thread.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crossbeam_channel::{Receiver, Sender};
use domain::UsageEvent;
use futures_util::task::AtomicWaker;

use crate::bell::{Bell, LastRing};
use crate::capacity::Capacity;
use crate::metrics::LaneMetrics;
use crate::open_slots::{OpenSlots, Opening};

/// One data-plane thread's way to the flusher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lane {
    events: Sender<Box<UsageEvent>>,
    /// Rung when there is something in a lane, and, since it stands behind them, when there is nobody left to put anything there.
    bell: Arc<LastRing>,
    capacity: Arc<Capacity>,
    acks: Arc<Acks>,
    local: Arc<Mutex<Local>>,
    metrics: LaneMetrics,
}

/// The flusher's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneEnd {
    pub(crate) events: Receiver<Box<UsageEvent>>,
    pub(crate) acks: Arc<Acks>,
}

/// How many events of a lane are durable; they are acknowledged in the order they were handed over in.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    durable: AtomicU64,
    lane: AtomicWaker,
}

/// What only the lane's own thread touches: the lock is never contended.
#[derive(Debug)]
struct Local {
    submitted: u64,
    /// Handed over and not yet known to be durable, in order.
    waiting: VecDeque<Waiting>,
    open: OpenSlots,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    open: Option<u32>,
    waker: Option<Waker>,
}

impl Acks {
    /// So many more events are durable.
    pub(crate) fn acknowledge(&self, events: u64) {
        // Release: whoever sees the count sees the event's way as ended.
        self.durable.fetch_add(events, Ordering::Release);
        self.lane.wake();
    }
}

impl Lane {
    pub(crate) fn new(
        capacity: Arc<Capacity>,
        bell: Bell,
        open: OpenSlots,
        metrics: LaneMetrics,
    ) -> (Self, LaneEnd) {
        // As long as the capacity that it shares: an event with a place always finds room.
        let (events, receiver) = crossbeam_channel::bounded(capacity.limit());
        let acks = Arc::new(Acks::default());
        let lane = Self {
            events,
            bell: Arc::new(LastRing(bell)),
            capacity,
            acks: Arc::clone(&acks),
            local: Arc::new(Mutex::new(Local {
                submitted: 0,
                waiting: VecDeque::new(),
                open,
            })),
            metrics,
        };
        (
            lane,
            LaneEnd {
                events: receiver,
                acks,
            },
        )
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
        if !self.capacity.try_take() {
            return None;
        }
        // Places of what is durable by now are free, whether or not anybody has been woken yet.
        self.let_go();
        let open = match opening {
            None => None,
            Some(opening) => {
                let place = self.local().open.take(opening);
                let Some(place) = place else {
                    self.capacity.give_back(1);
                    return None;
                };
                Some(place)
            }
        };
        self.metrics.admitted.increment(1);
        Some(Slot {
            lane: self.clone(),
            open,
            used: false,
        })
    }

    /// Wakes who waits whenever the flusher says so. To be run on the lane's thread as long as anybody waits; it never ends.
    pub async fn acknowledge(&self) {
        poll_fn(|ctx| {
            self.acks.lane.register(ctx.waker());
            self.let_go();
            Poll::<()>::Pending
        })
        .await;
    }

    /// Forgets what is durable, and wakes who waits for it.
    fn let_go(&self) {
        let durable = self.acks.durable.load(Ordering::Acquire);
        let mut woken = Vec::new();
        self.local().let_go(durable, |waker| woken.push(waker));
        // Outside the lock: who is woken may look again at once.
        woken.into_iter().for_each(Waker::wake);
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local {
    /// Forgets what is durable.
    fn let_go(&mut self, durable: u64, mut wake: impl FnMut(Waker)) {
        while let Some(first) = self.waiting.pop_front_if(|first| first.number <= durable) {
            if let Some(open) = first.open {
                self.open.release(open);
            }
            if let Some(waker) = first.waker {
                wake(waker);
            }
        }
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
    pub fn submit(mut self, event: UsageEvent) -> Ticket {
        self.used = true;
        let lane = &self.lane;
        lane.metrics.closed.increment(1);
        let number = {
            let mut local = lane.local();
            local.submitted += 1;
            let number = local.submitted;
            local.waiting.push_back(Waiting {
                number,
                open: self.open.take(),
                waker: None,
            });
            number
        };
        if lane.events.try_send(Box::new(event)).is_err() {
            // Only if the flusher thread has died: the books (closed, stored) show it, and so does the log.
            tracing::error!("a usage event could not be handed over: the flusher is gone");
        }
        lane.bell.0.ring();
        Ticket {
            lane: lane.clone(),
            number,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        self.lane.metrics.closed.increment(1);
        if let Some(open) = self.open.take() {
            self.lane.local().open.release(open);
        }
        self.lane.capacity.give_back(1);
    }
}

/// Ready when an event is durable. Whoever doesn't care drops it.
#[derive(Debug)]
pub struct Ticket {
    lane: Lane,
    number: u64,
}

impl Future for Ticket {
    type Output = ();

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        let is_durable = || self.lane.acks.durable.load(Ordering::Acquire) >= self.number;
        if is_durable() {
            return Poll::Ready(());
        }
        let mut local = self.lane.local();
        let first = local.waiting.front().map_or(u64::MAX, |first| first.number);
        let place = self.number.checked_sub(first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| local.waiting.get_mut(place)) {
            Some(waiting) => {
                waiting.waker = Some(ctx.waker().clone());
                Poll::Pending
            }
            // It was let go meanwhile.
            None => Poll::Ready(()),
        }
    }
}
