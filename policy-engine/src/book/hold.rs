//! What a running request is expected to use.

use std::sync::Arc;

use super::{AllHeld, Book, Used};
use crate::budget::{Budget, People};

/// Held on every budget that applies, until it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub(crate) struct Hold {
    book: Arc<Book>,
    held: AllHeld,
}

impl Hold {
    pub(super) fn new(book: Arc<Book>, held: AllHeld) -> Self {
        Self { book, held }
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
        let held = std::mem::take(&mut self.held);
        self.book.exchange(&held, used, budgets, people);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.book.release(&self.held);
    }
}
