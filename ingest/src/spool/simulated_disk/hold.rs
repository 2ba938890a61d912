//! A sync that takes as long as a test wants.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::{SimulatedDisk, State};

/// Nothing that is meant to come takes so long.
const AT_MOST: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    None,
    /// The next one will be held.
    Wanted,
    /// One is.
    Held,
    /// The thread that it is held on shall die of it.
    Deadly,
}

/// The next sync of a segment, which doesn't return before this is let go of or dropped, or the power is lost.
#[derive(Debug)]
pub(crate) struct HeldSync(SimulatedDisk);

impl SimulatedDisk {
    /// Spares, which are no segments yet, are not meant.
    pub(crate) fn hold_sync(&self) -> HeldSync {
        self.state().hold = Hold::Wanted;
        HeldSync(self.clone())
    }

    /// Returns once a sync of that file may go on.
    pub(super) fn held<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        file: usize,
    ) -> MutexGuard<'a, State> {
        let is_segment = state.names.files().any(|(path, at)| {
            at == file && path.extension().is_some_and(|extension| extension == "seg")
        });
        if state.hold == Hold::Wanted && is_segment {
            state.hold = Hold::Held;
            self.0.changed.notify_all();
            state = self.wait_while(state, Hold::Held);
            if state.hold == Hold::Deadly {
                drop(state);
                panic!("a sync that a thread dies of, as a test wants");
            }
        }
        state
    }

    fn wait_while<'a>(&'a self, state: MutexGuard<'a, State>, hold: Hold) -> MutexGuard<'a, State> {
        let is_so = |state: &mut State| state.hold == hold;
        let changed = &self.0.changed;
        let (state, waited) = changed.wait_timeout_while(state, AT_MOST, is_so).unwrap();
        assert!(!waited.timed_out(), "{hold:?} for too long");
        state
    }

    pub(super) fn let_go(&self, state: &mut State) {
        state.hold = Hold::None;
        self.0.changed.notify_all();
    }
}

impl HeldSync {
    /// Returns once the sync has begun: what is written from now on isn't in it.
    pub(crate) fn wait_until_begun(&self) {
        drop(self.0.wait_while(self.0.state(), Hold::Wanted));
    }

    pub(crate) fn let_go(self) {
        drop(self);
    }

    /// Has the thread die that the sync is on.
    pub(crate) fn let_die(self) {
        self.0.state().hold = Hold::Deadly;
        self.0.0.changed.notify_all();
    }
}

impl Drop for HeldSync {
    fn drop(&mut self) {
        // Whatever has failed by then.
        let state = self.0.0.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.hold != Hold::Deadly {
            self.0.let_go(&mut state);
        }
    }
}

/// Looks for what another thread does until it is there.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..AT_MOST.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it has not come in {AT_MOST:?}");
}
