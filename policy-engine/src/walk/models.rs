//! The models that a request names, one after the other, as limits count them.

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use crate::budget::{Account, Budget, Holder, People};
use crate::rules::Context;

/// Those that can't be known the API doesn't know either.
pub(super) struct Models<'a> {
    pub(super) own: &'a str,
    pub(super) others: Vec<Cow<'a, str>>,
}

impl<'a> Models<'a> {
    pub(super) fn of(ctx: &Context<'a>) -> Self {
        let named = ctx.named().map(|named| named.models.clone());
        Self {
            own: ctx.request.model,
            others: named.unwrap_or_default(),
        }
    }

    /// Its own first.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(AsRef::as_ref);
        std::iter::once(self.own).chain(others)
    }

    /// None is known yet.
    pub(super) fn counters(&self) -> Counters {
        Counters((!self.others.is_empty()).then(FxHashSet::default))
    }
}

/// The counters that a request has so far: there may be thousands, as callers name as many models. One that names none but its own
/// has each only once, and none has to be remembered.
pub(super) struct Counters(Option<FxHashSet<Account>>);

impl Counters {
    /// Whether a limit counts a model by a counter that the request doesn't have yet; it has it from now on.
    pub(super) fn is_new(
        &mut self,
        budget: &Budget,
        holder: &Holder,
        people: &People,
        model: &str,
    ) -> bool {
        let Self(known) = self;
        budget.counts(holder, people, model)
            && known
                .as_mut()
                .is_none_or(|known| known.insert(budget.account(holder, model)))
    }
}
