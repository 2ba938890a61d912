//! One budget's two numbers.

use domain::Timestamp;

use crate::limit::Window;

/// What was used in a window, and what is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    window: Window,
    /// Which one of its kind.
    index: i32,
    spent: u64,
    held: u64,
    /// What was spent has to be looked up again.
    stale: bool,
}

impl Counter {
    pub(super) fn new(window: Window, index: i32, spent: u64) -> Self {
        Self {
            window,
            index,
            spent,
            held: 0,
            stale: false,
        }
    }

    /// Goes on to the window of a moment; never back. Answers whether that is the window now.
    pub(super) fn advance(&mut self, index: i32) -> bool {
        if index > self.index {
            // What is still held belongs to the window that is over.
            *self = Self::new(self.window, index, 0);
        }
        index == self.index
    }

    pub(super) fn index(&self) -> i32 {
        self.index
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn hold(&mut self, amount: u64) {
        self.held = self.held.saturating_add(amount);
    }

    /// Gives back what was held in a window.
    pub(super) fn release(&mut self, index: i32, amount: u64) {
        if index == self.index {
            self.held = self.held.saturating_sub(amount);
        }
    }

    /// What is spent and held in a window, without going on to it.
    pub(super) fn in_window(&self, index: i32) -> (u64, u64) {
        if index == self.index {
            (self.spent, self.held)
        } else {
            (0, 0)
        }
    }

    /// Adds what was used in a window.
    pub(super) fn spend(&mut self, index: i32, amount: u64) {
        if self.advance(index) {
            self.spent = self.spent.saturating_add(amount);
        }
    }

    /// More was settled than it has seen. What was spent in a minute is known to the counter alone.
    pub(super) fn outdate(&mut self) {
        self.stale = self.window != Window::Minute;
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    pub(super) fn renew(&mut self, spent: u64) {
        self.spent = spent;
        self.stale = false;
    }

    /// Whether its window is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.index < self.window.index(now)
    }

    /// Whether it can be made again from the ledger, with nothing missing.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && (self.spent == 0 || self.window != Window::Minute)
    }
}
