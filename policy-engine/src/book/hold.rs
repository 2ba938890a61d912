//! What a running request is expected to use.

use std::sync::Arc;

use domain::Timestamp;

use super::{AllHeld, Book, Used};
use crate::budget::{Budget, People};

/// Held on every budget that applies, until it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub(crate) struct Hold {
    book: Arc<Book>,
    held: AllHeld,
    /// The moment in whose windows.
    at: Timestamp,
}

impl Hold {
    pub(super) fn new(book: Arc<Book>, held: AllHeld, at: Timestamp) -> Self {
        Self { book, held, at }
    }

    /// Together with what else is held for the same request in the same book.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.held.append(&mut other.held);
        self
    }

    /// Puts what was used in its place, in one step.
    pub(crate) fn settle<'a>(
        mut self,
        used: &Used<'_>,
        budgets: impl Iterator<Item = &'a Budget>,
        people: &People,
    ) {
        let (held, used) = self.take(used);
        self.book.exchange(&held, &used, budgets, people);
    }

    /// The same where no rules are known to settle it by.
    pub(crate) fn settle_unruled(mut self, used: &Used<'_>) {
        let (held, used) = self.take(used);
        self.book.exchange_unruled(&held, &used);
    }

    /// What is held, and what was used in the windows that it is held in.
    fn take<'u>(&mut self, used: &Used<'u>) -> (AllHeld, Used<'u>) {
        let held = std::mem::take(&mut self.held);
        (
            held,
            Used {
                at: self.at,
                ..*used
            },
        )
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.book.release(&self.held);
    }
}
