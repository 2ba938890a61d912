//! Wakes the flusher.
//!
//! Guarantees: whoever rings after handing something over is heard, also by a flusher that is about to sleep. Ringing one that is
//! awake is a single atomic operation; nobody spins or yields, which on a busy machine gives the processor away for a long time.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell(Arc<OnceLock<Thread>>);

impl Bell {
    /// Says whom it wakes; to be called once, before anybody rings.
    pub(crate) fn hang(&self, flusher: Thread) {
        let hung = self.0.set(flusher);
        debug_assert!(hung.is_ok(), "there is one flusher");
    }

    pub(crate) fn ring(&self) {
        if let Some(flusher) = self.0.get() {
            flusher.unpark();
        }
    }

    /// Sleeps until it is rung, or was since the last sleep, at most so long; to be called on the flusher's thread. May also end for
    /// no reason.
    pub(crate) fn sleep(at_most: Duration) {
        thread::park_timeout(at_most);
    }
}

/// Rings when it is dropped.
#[derive(Debug)]
pub(crate) struct LastRing(pub(crate) Bell);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}
