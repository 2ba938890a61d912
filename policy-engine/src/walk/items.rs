//! The rules that an item of a batch has to pass, in the order of the walk: those about what a request is. What it counts for, the
//! plan, budgets and rates, is asked of the batch.

use std::slice::from_ref;
use std::sync::Arc;

use domain::{Endpoint, PriceBook, Timestamp};

use super::Walk;
use crate::denial::{Denial, Reason};
use crate::facts::{Caller, Request};
use crate::notes::{Notes, Untraced};
use crate::project::ProjectRules;
use crate::rules::{Objection, Policy, Rule};

/// What every rule may depend on.
const ALWAYS_LOOKED_AT: [&str; 3] = ["model", "max_tokens", "stream"];

/// Decides about an item as the request of `messages` that it is. What only warns goes to `notes`.
pub(crate) fn decide_item(
    rules: &ProjectRules,
    caller: &Caller,
    request: &Request<'_>,
    now: Timestamp,
    notes: &mut Notes,
) -> Result<(), Box<Denial>> {
    let item = Item {
        rules,
        caller,
        as_message: *request,
        // The endpoint that access rules are about is the one that was called, whatever comes of it there.
        as_called: Request {
            endpoint: Endpoint::Batches,
            ..*request
        },
        prices: &PriceBook::default(),
        now,
    };
    item.policies(&rules.of_organization, notes)?;
    if rules.models.is_some() {
        item.ask_settings(notes, |walk| walk.allowed_models())?;
    }
    if !rules.registry.is_idle() {
        item.ask_settings(notes, |walk| walk.registry().map(drop))?;
    }
    item.policies(&rules.of_project, notes)
}

/// An item before the rules of its project.
struct Item<'a> {
    rules: &'a ProjectRules,
    caller: &'a Caller,
    as_message: Request<'a>,
    as_called: Request<'a>,
    prices: &'a PriceBook,
    now: Timestamp,
}

impl<'a> Item<'a> {
    fn policies(&self, policies: &[Arc<Policy>], notes: &mut Notes) -> Result<(), Box<Denial>> {
        for policy in policies {
            let Some(action) = policy.rule.action() else {
                continue;
            };
            let request = match policy.rule {
                Rule::Access(_) => &self.as_called,
                Rule::Usage(_) | Rule::Compliance(_) | Rule::Custom(_) => &self.as_message,
            };
            let mut walk = self.walk(request, notes);
            if !policy.concerns_key(&walk.ctx.holder, walk.ctx.people) {
                *notes = walk.notes;
                continue;
            }
            let decided = walk.policies(from_ref(policy));
            let decided = decided.and_then(|()| match self.unknown() {
                Some(objection) => walk.object(policy, action, objection),
                None => Ok(()),
            });
            *notes = walk.notes;
            decided?;
        }
        Ok(())
    }

    /// Settings have no action but to refuse.
    fn ask_settings(
        &self,
        notes: &mut Notes,
        ask: impl FnOnce(&mut Walk<'_, Untraced>) -> Result<(), Box<Denial>>,
    ) -> Result<(), Box<Denial>> {
        let mut walk = self.walk(&self.as_message, notes);
        let decided = ask(&mut walk);
        *notes = walk.notes;
        decided?;
        match self.unknown() {
            Some(Objection { reason, message }) => Err(Denial::new(reason, message)),
            None => Ok(()),
        }
    }

    /// A new one for each rule: what one has looked at, the next doesn't get from a memory.
    fn walk(&self, request: &'a Request<'a>, notes: &mut Notes) -> Walk<'a, Untraced> {
        let (rules, caller) = (self.rules, self.caller);
        let mut walk = Walk::new(rules, caller, request, self.prices, self.now, Untraced);
        walk.notes = std::mem::take(notes);
        walk
    }

    /// The objection of a rule that had to look at what wasn't kept.
    fn unknown(&self) -> Option<Objection> {
        let unkept = self.as_message.unkept?;
        let asked_for = unkept.take_asked_for();
        let name = asked_for.or_else(|| unkept.any(&ALWAYS_LOOKED_AT))?;
        let message = format!("the field {name} is too long to be looked into in a batch");
        Some(Objection::new(Reason::PolicyDenied, message))
    }
}
