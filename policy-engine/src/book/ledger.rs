//! What was settled, by key and model, in the hour, the day, the week and the month that are running.
//!
//! Every counter of a budget can be made from it at any time, whatever the limit looks at: so a budget that appears in the middle
//! of its window is right from its first request on. A window that is over is forgotten; windows never run backwards.

use domain::{ApiKeyId, ProjectId, Timestamp, UserId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::amounts::Amounts;
use crate::limit::Window;

/// Windows that are kept: all but the minute.
const KEPT: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];
/// Names of models come from callers. What is beyond so many of a key is kept together, under no name.
const MOST_MODELS: usize = 64;

/// One organization's.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: FxHashMap<ApiKeyId, Account>,
}

/// One key's.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) project_id: ProjectId,
    pub(super) user_id: Option<UserId>,
    models: SmallVec<[(Box<str>, Cell); 1]>,
}

/// One model's.
#[derive(Debug, Default)]
struct Cell {
    spans: [Span; KEPT.len()],
}

#[derive(Debug, Clone, Copy)]
struct Span {
    index: i32,
    amounts: Amounts,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            index: i32::MIN,
            amounts: Amounts::default(),
        }
    }
}

impl Span {
    fn add(&mut self, index: i32, amounts: &Amounts) {
        if index > self.index {
            *self = Self {
                index,
                amounts: *amounts,
            };
        } else if index == self.index {
            self.amounts.add(amounts);
        }
    }
}

impl Ledger {
    /// Adds what a request used to the windows of the moment it was admitted at.
    pub(super) fn add(
        &mut self,
        key_id: ApiKeyId,
        owner: (ProjectId, Option<UserId>),
        model: &str,
        at: Timestamp,
        amounts: &Amounts,
    ) {
        let cell = self.account(key_id, owner).cell(model);
        for (span, window) in cell.spans.iter_mut().zip(KEPT) {
            span.add(window.index(at), amounts);
        }
    }

    /// Adds to one window only.
    pub(super) fn add_to(
        &mut self,
        key_id: ApiKeyId,
        owner: (ProjectId, Option<UserId>),
        model: &str,
        (window, index): (Window, i32),
        amounts: &Amounts,
    ) {
        let cell = self.account(key_id, owner).cell(model);
        for (span, kept) in cell.spans.iter_mut().zip(KEPT) {
            if kept == window {
                span.add(index, amounts);
            }
        }
    }

    /// What was used at a moment cost more or less than is known of it.
    pub(super) fn correct(&mut self, key_id: ApiKeyId, model: &str, at: Timestamp, by: i64) {
        let Some(account) = self.keys.get_mut(&key_id) else {
            return;
        };
        for (span, window) in account.cell(model).spans.iter_mut().zip(KEPT) {
            if span.index == window.index(at) {
                span.amounts.cost = span.amounts.cost.saturating_add_signed(by);
            }
        }
    }

    fn account(&mut self, key_id: ApiKeyId, owner: (ProjectId, Option<UserId>)) -> &mut Account {
        self.keys.entry(key_id).or_insert_with(|| Account {
            project_id: owner.0,
            user_id: owner.1,
            models: SmallVec::new(),
        })
    }

    /// One key's account.
    pub(super) fn get(&self, key_id: ApiKeyId) -> Option<&Account> {
        self.keys.get(&key_id)
    }

    /// All accounts.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (ApiKeyId, &Account)> {
        self.keys.iter().map(|(key_id, account)| (*key_id, account))
    }

    /// Forgets what lies in no window that is running.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let running = KEPT.map(|window| window.index(now));
        self.keys.retain(|_, account| {
            account.models.retain(|(_, cell)| cell.is_of(running));
            !account.models.is_empty()
        });
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Account {
    fn cell(&mut self, model: &str) -> &mut Cell {
        let named = |(name, _): &(Box<str>, Cell)| **name == *model;
        let place = match self.models.iter().position(named) {
            Some(place) => place,
            None if self.models.len() >= MOST_MODELS && !model.is_empty() => return self.cell(""),
            None => {
                self.models.push((model.into(), Cell::default()));
                self.models.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        &mut self.models[place].1
    }

    /// What was used in a window, by model.
    pub(super) fn used(
        &self,
        window: Window,
        index: i32,
    ) -> impl Iterator<Item = (&str, &Amounts)> {
        let place = KEPT.iter().position(|kept| *kept == window);
        self.models.iter().filter_map(move |(model, cell)| {
            let span = cell.spans.get(place?)?;
            (span.index == index).then_some((&**model, &span.amounts))
        })
    }
}

impl Cell {
    fn is_of(&self, running: [i32; KEPT.len()]) -> bool {
        let mut spans = self.spans.iter().zip(running);
        spans.any(|(span, index)| span.index >= index)
    }
}
