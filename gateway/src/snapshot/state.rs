//! How the snapshot of the keys does, for readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::Clock;

/// How the snapshot does, for readiness and metrics.
#[derive(Debug)]
pub(crate) struct SnapshotState {
    loaded: AtomicBool,
    /// When it was last known to be like the database, in microseconds of the monotonic clock.
    verified_micros: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl SnapshotState {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            loaded: AtomicBool::new(false),
            verified_micros: AtomicU64::new(0),
            clock,
        }
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(crate) fn age(&self) -> Duration {
        // Relaxed: a gauge.
        let verified = Duration::from_micros(self.verified_micros.load(Ordering::Relaxed));
        self.clock.monotonic().saturating_sub(verified)
    }

    pub(super) fn verified(&self) {
        let now = u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX);
        self.verified_micros.store(now, Ordering::Relaxed);
        // Release pairs with the Acquire of `is_loaded`: who sees it also sees the keys.
        self.loaded.store(true, Ordering::Release);
    }
}
