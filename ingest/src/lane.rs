//! A lane carries the events of one data-plane thread to the flusher.
//!
//! Order of life: [`Lane::reserve`] before the request is forwarded, [`Slot::submit`] when it has ended. A slot
//! that is dropped instead gives its place back: the request never became an event.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use domain::UsageEvent;

use crate::capacity::Capacity;
use crate::metrics::LaneMetrics;

/// One data-plane thread's way to the flusher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lane {
    events: Sender<Box<UsageEvent>>,
    capacity: Arc<Capacity>,
    metrics: LaneMetrics,
}

impl Lane {
    pub(crate) fn new(
        capacity: Arc<Capacity>,
        metrics: LaneMetrics,
    ) -> (Self, Receiver<Box<UsageEvent>>) {
        // As long as the capacity it shares: a reserved event always finds room.
        let (events, receiver) = crossbeam_channel::bounded(capacity.limit());
        (
            Self {
                events,
                capacity,
                metrics,
            },
            receiver,
        )
    }

    /// Takes the place of one event; `None` if memory is full.
    #[must_use]
    pub fn reserve(&self) -> Option<Slot> {
        self.capacity.try_take().then(|| {
            self.metrics.admitted.increment(1);
            Slot {
                lane: self.clone(),
                used: false,
            }
        })
    }
}

/// The place of one event.
#[derive(Debug)]
#[must_use = "dropping a slot says that the request needs no event"]
pub struct Slot {
    lane: Lane,
    used: bool,
}

impl Slot {
    /// Hands the event over. Never blocks, never fails while the flusher lives.
    pub fn submit(mut self, event: UsageEvent) {
        self.used = true;
        self.lane.metrics.closed.increment(1);
        if self.lane.events.try_send(Box::new(event)).is_err() {
            // Only if the flusher thread has died: the books (closed, stored) show it, and so does the log.
            tracing::error!("a usage event could not be handed over: the flusher is gone");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.used {
            self.lane.metrics.closed.increment(1);
            self.lane.capacity.give_back(1);
        }
    }
}
