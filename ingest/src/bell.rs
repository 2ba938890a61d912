//! Wakes the flusher.
//!
//! Guarantees: whoever rings after handing something over is heard, also by a flusher that is about to sleep. Ringing one that is
//! awake is a single atomic operation; nobody spins or yields, which on a busy machine gives the processor away for a long time.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bell(Arc<Rope>);

#[derive(Debug, Default)]
struct Rope {
    flusher: OnceLock<Thread>,
    /// The flusher won't look into the lanes again until it is rung.
    is_idle: AtomicBool,
}

impl Bell {
    /// Says whom it wakes; to be called once, before anybody rings.
    pub(crate) fn hang(&self, flusher: Thread) {
        let hung = self.0.flusher.set(flusher);
        debug_assert!(hung.is_ok(), "there is one flusher");
    }

    /// For what somebody waits for.
    pub(crate) fn ring(&self) {
        if let Some(flusher) = self.0.flusher.get() {
            flusher.unpark();
        }
    }

    /// For what may wait until the flusher looks again by itself, if it will.
    pub(crate) fn ring_if_idle(&self) {
        // What was handed over is seen by a flusher that goes to sleep, or that it does is seen here.
        fence(Ordering::SeqCst);
        if self.0.is_idle.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// Says that the flusher looks once more, and then sleeps until it is rung; to be called on its thread.
    pub(crate) fn is_about_to_sleep(&self) {
        self.0.is_idle.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that it looks by itself again.
    pub(crate) fn is_awake(&self) {
        self.0.is_idle.store(false, Ordering::Relaxed);
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
