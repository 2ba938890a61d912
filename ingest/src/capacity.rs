//! How many events may be under way at once: admitted, and not yet in the spool.
//!
//! Two bounds: what memory they may take, and what room the spool has for them. The second moves: the flusher says what is
//! left, and [`EVENT_BYTES`] of it are reckoned for each.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What an event is reckoned to take on disk. A larger one takes from the spare segment, of which there is always one.
pub(crate) const EVENT_BYTES: u64 = 4096;

/// Bounds shared by every lane.
#[derive(Debug)]
pub(crate) struct Capacity {
    limit: usize,
    /// For as many events the spool has room.
    room: AtomicUsize,
    taken: AtomicUsize,
}

impl Capacity {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            room: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes one place, if there is one.
    pub(crate) fn try_take(&self) -> bool {
        let most = self.limit.min(self.room.load(Ordering::Relaxed));
        // Relaxed: the count guards no other memory; only its own total order matters.
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .is_ok()
    }

    /// Gives places back.
    pub(crate) fn give_back(&self, places: usize) {
        let before = self.taken.fetch_sub(places, Ordering::Relaxed);
        debug_assert!(before >= places, "more places given back than taken");
    }

    /// Says what room the spool has.
    pub(crate) fn set_room(&self, bytes: u64) {
        let events = usize::try_from(bytes / EVENT_BYTES).unwrap_or(usize::MAX);
        self.room.store(events, Ordering::Relaxed);
    }

    /// Places in use.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether no place is left, for want of memory or of room in the spool.
    pub(crate) fn is_full(&self) -> bool {
        self.taken() >= self.limit.min(self.room.load(Ordering::Relaxed))
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(limit: usize) -> Capacity {
        let capacity = Capacity::new(limit);
        capacity.set_room(u64::MAX);
        capacity
    }

    #[test]
    fn a_full_capacity_refuses_until_a_place_is_given_back() {
        let capacity = capacity(2);
        assert!(capacity.try_take() && capacity.try_take());
        assert!(!capacity.try_take() && capacity.is_full());
        capacity.give_back(1);
        assert!(capacity.try_take());
        assert_eq!(capacity.taken(), 2);
    }

    #[test]
    fn without_room_in_the_spool_nothing_is_taken() {
        let capacity = Capacity::new(10);
        assert!(!capacity.try_take());
        capacity.set_room(2 * EVENT_BYTES + 1);
        assert!(capacity.try_take() && capacity.try_take());
        assert!(!capacity.try_take());
        capacity.set_room(EVENT_BYTES);
        assert!(capacity.is_full());
        capacity.give_back(2);
        assert!(capacity.try_take() && !capacity.try_take());
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let capacity = capacity(1_000);
        let granted: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).filter(|_| capacity.try_take()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(granted, 1_000);
    }
}
