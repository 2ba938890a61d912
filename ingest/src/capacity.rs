//! How many events may be in memory at once, counted from reservation to storage.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound shared by every lane.
#[derive(Debug)]
pub(crate) struct Capacity {
    limit: usize,
    taken: AtomicUsize,
}

impl Capacity {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes one place, if there is one.
    pub(crate) fn try_take(&self) -> bool {
        // Relaxed: the count guards no other memory; only its own total order matters.
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.limit).then_some(taken + 1)
            })
            .is_ok()
    }

    /// Gives places back.
    pub(crate) fn give_back(&self, places: usize) {
        let before = self.taken.fetch_sub(places, Ordering::Relaxed);
        debug_assert!(before >= places, "more places given back than taken");
    }

    /// Places in use.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_capacity_refuses_until_a_place_is_given_back() {
        let capacity = Capacity::new(2);
        assert!(capacity.try_take() && capacity.try_take());
        assert!(!capacity.try_take());
        capacity.give_back(1);
        assert!(capacity.try_take());
        assert_eq!(capacity.taken(), 2);
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let capacity = Capacity::new(1_000);
        let granted: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).filter(|_| capacity.try_take()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(granted, 1_000);
    }
}
