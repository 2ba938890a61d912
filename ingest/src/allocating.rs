//! Segments are made ahead on a thread of their own: filling one with zeros takes as long as many groups take to sync.

use std::collections::HashSet;

use crossbeam_channel::{Receiver, Sender};
use uuid::Uuid;

use crate::spool::{Allocator, Spare, SpoolError};

type Made = (Uuid, Result<Spare, SpoolError>);

/// The thread, as the flusher sees it. It ends with this.
#[derive(Debug)]
pub(crate) struct Allocating {
    orders: Sender<(Uuid, Allocator)>,
    made: Receiver<Made>,
    /// Streams for which a segment is being made.
    under_way: HashSet<Uuid>,
}

impl Allocating {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (orders, ordered) = crossbeam_channel::unbounded::<(Uuid, Allocator)>();
        let (finished, made) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new().name("allocator".to_owned());
        let _detached = thread.spawn(move || {
            for (stream, allocator) in ordered {
                if finished.send((stream, allocator.allocate())).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            orders,
            made,
            under_way: HashSet::new(),
        })
    }

    /// Has one made for a stream, unless one is.
    pub(crate) fn order(&mut self, stream: Uuid, allocator: Allocator) {
        if self.under_way.insert(stream) && self.orders.send((stream, allocator)).is_err() {
            self.under_way.remove(&stream);
        }
    }

    /// How many are being made.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// One that has been made, or why it couldn't be.
    pub(crate) fn next(&mut self) -> Option<Made> {
        let (stream, made) = self.made.try_recv().ok()?;
        self.under_way.remove(&stream);
        Some((stream, made))
    }
}
