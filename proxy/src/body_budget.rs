//! A bound on the bytes of request bodies held in memory by the whole process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes taken from the bound, given back on drop.
#[derive(Debug)]
pub(crate) struct BodyLease {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

impl BodyBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    fn try_take(&self, bytes: usize) -> bool {
        // Relaxed: the count guards no other memory.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= self.limit)
            })
            .is_ok()
    }
}

impl BodyLease {
    pub(crate) fn new(budget: Arc<BodyBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Makes the lease cover `total` bytes; `false` if there is no room.
    pub(crate) fn cover(&mut self, total: usize) -> bool {
        let more = total.saturating_sub(self.bytes);
        let granted = self.budget.try_take(more);
        if granted {
            self.bytes += more;
        }
        granted
    }
}

impl Drop for BodyLease {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_share_one_bound_and_give_back() {
        let budget = Arc::new(BodyBudget::new(100));
        let mut first = BodyLease::new(Arc::clone(&budget));
        let mut second = BodyLease::new(Arc::clone(&budget));
        assert!(first.cover(60) && first.cover(60));
        assert!(!second.cover(41));
        assert!(second.cover(40));
        drop(first);
        assert!(second.cover(100));
    }
}
