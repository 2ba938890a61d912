//! The models that a request names, one after the other, as limits count them.

use std::borrow::Cow;

use crate::budget::{Budget, Holder, People};
use crate::rules::Context;

/// Its own first. Those that can't be known the API doesn't know either.
pub(super) struct Models<'a> {
    own: &'a str,
    others: Vec<Cow<'a, str>>,
}

impl<'a> Models<'a> {
    pub(super) fn of(ctx: &Context<'a>) -> Self {
        let named = ctx.named().map(|named| named.models.clone());
        Self {
            own: ctx.request.model,
            others: named.unwrap_or_default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.others.len() + 1
    }

    /// The own one at 0.
    pub(super) fn get(&self, place: usize) -> &str {
        let other = place
            .checked_sub(1)
            .and_then(|place| self.others.get(place));
        other.map_or(self.own, AsRef::as_ref)
    }

    /// Whether a limit counts the model at a place, and none before it in the same counter.
    pub(super) fn is_first(
        &self,
        budget: &Budget,
        holder: &Holder,
        people: &People,
        place: usize,
    ) -> bool {
        let counts = |place| budget.counts(holder, people, self.get(place));
        let counter = |place| budget.account(holder, self.get(place));
        let is_before = |before| counts(before) && counter(before) == counter(place);
        // Whom it doesn't count is asked first: looking at all models before this one is dear.
        counts(place) && !(0..place).any(is_before)
    }
}
