//! What was settled, by key and model, in the hour, the day, the week and the month that are running.
//!
//! Every counter of a budget can be made from it at any time, whatever the limit looks at: so a budget that appears in the middle
//! of its window is right from its first request on. A window that is over is forgotten; windows never run backwards. Names of
//! models come from callers, so a key has only so many: names that used nothing give way to those that did, and what still has
//! no place of its own is kept together and may have been any model.

use domain::{ApiKeyId, OrgId, ProjectId, Timestamp, UserId};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::amounts::Amounts;
use crate::budget::{Holder, kept_of_model, model_hash};
use crate::limit::{Per, Scope, Window};

/// Windows that are kept: all but the minute.
const KEPT: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];
/// So many models of a key have a place of their own.
const MOST_MODELS: usize = 64;

/// One organization's.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    keys: FxHashMap<ApiKeyId, Accounts>,
    index: Index,
}

/// Where to look for a model: so that names which callers make up aren't looked for everywhere.
#[derive(Debug, Default)]
struct Index {
    /// Hashes of models that have a place of their own in some account.
    models: FxHashSet<u64>,
    /// Keys that used models without one.
    rests: FxHashSet<ApiKeyId>,
}

/// Which accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of<'a> {
    All,
    Key(ApiKeyId),
    /// Those that may have used a model.
    Model(&'a str),
}

impl<'a> Of<'a> {
    /// Those that a counter of a holder and a model adds up.
    pub(super) fn counted(per: Per, holder: &Holder, model: &'a str) -> Self {
        match per {
            Per {
                scope: Scope::Key, ..
            } => Self::Key(holder.key_id),
            Per { model: true, .. } => Self::Model(model),
            Per { model: false, .. } => Self::All,
        }
    }
}

/// One key's: more than one if it became another project's or user's.
type Accounts = SmallVec<[Account; 1]>;

/// What a key used in a project, for a user.
#[derive(Debug)]
pub(super) struct Account {
    project_id: ProjectId,
    user_id: Option<UserId>,
    models: SmallVec<[(Box<str>, Cell); 1]>,
    /// Of models without a place of their own.
    rest: Option<Box<Cell>>,
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
    pub(super) fn add(&mut self, holder: &Holder, model: &str, at: Timestamp, amounts: &Amounts) {
        let cell = self.cell(holder, model, amounts);
        for (span, window) in cell.spans.iter_mut().zip(KEPT) {
            span.add(window.index(at), amounts);
        }
    }

    /// Adds to one window only.
    pub(super) fn add_to(
        &mut self,
        holder: &Holder,
        model: &str,
        (window, index): (Window, i32),
        amounts: &Amounts,
    ) {
        let cell = self.cell(holder, model, amounts);
        for (span, kept) in cell.spans.iter_mut().zip(KEPT) {
            if kept == window {
                span.add(index, amounts);
            }
        }
    }

    /// What was used at a moment cost more or less than is known of it.
    pub(super) fn correct(
        &mut self,
        (key_id, project_id): (ApiKeyId, ProjectId),
        model: &str,
        at: Timestamp,
        by: i64,
    ) {
        let accounts = self.keys.get_mut(&key_id).into_iter().flatten();
        let mut of_project = accounts.filter(|account| account.project_id == project_id);
        let Some(cell) = of_project.find_map(|account| account.known(model)) else {
            return;
        };
        for (span, window) in cell.spans.iter_mut().zip(KEPT) {
            if span.index == window.index(at) {
                span.amounts.cost = span.amounts.cost.saturating_add_signed(by);
            }
        }
    }

    fn cell(&mut self, holder: &Holder, model: &str, amounts: &Amounts) -> &mut Cell {
        let accounts = self.keys.entry(holder.key_id).or_default();
        let place = accounts.iter().position(|account| account.is_of(holder));
        let place = place.unwrap_or_else(|| {
            accounts.push(Account::new(holder));
            accounts.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        accounts[place].cell(holder.key_id, model, amounts, &mut self.index)
    }

    /// Whether a model has a place of its own in some account.
    pub(super) fn knows(&self, model: &str) -> bool {
        self.index.models.contains(&model_hash(model))
    }

    /// Accounts, with whose they are.
    pub(super) fn accounts(
        &self,
        org_id: OrgId,
        of: Of<'_>,
    ) -> impl Iterator<Item = (Holder, &Account)> {
        let (one, all, some) = match of {
            Of::Key(key_id) => (self.keys.get_key_value(&key_id), None, None),
            Of::Model(model) if !self.knows(model) => (None, None, Some(&self.index.rests)),
            Of::All | Of::Model(_) => (None, Some(&self.keys), None),
        };
        let some = some.into_iter().flatten();
        let some = some.filter_map(|key_id| self.keys.get_key_value(key_id));
        let keys = one.into_iter().chain(all.into_iter().flatten()).chain(some);
        keys.flat_map(move |(key_id, accounts)| {
            accounts.iter().map(move |account| {
                let holder = Holder {
                    org_id,
                    project_id: account.project_id,
                    user_id: account.user_id,
                    key_id: *key_id,
                };
                (holder, account)
            })
        })
    }

    /// Forgets what lies in no window that is running.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let running = KEPT.map(|window| window.index(now));
        let Index { models, rests } = &mut self.index;
        models.clear();
        rests.clear();
        self.keys.retain(|key_id, accounts| {
            accounts.retain(|account| {
                account.models.retain(|(_, cell)| cell.is_of(running));
                account.rest.take_if(|rest| !rest.is_of(running));
                models.extend(account.models.iter().map(|(name, _)| model_hash(name)));
                rests.extend(account.rest.is_some().then_some(*key_id));
                !account.models.is_empty() || account.rest.is_some()
            });
            !accounts.is_empty()
        });
    }

    /// Keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Account {
    fn new(holder: &Holder) -> Self {
        Self {
            project_id: holder.project_id,
            user_id: holder.user_id,
            models: SmallVec::new(),
            rest: None,
        }
    }

    fn is_of(&self, holder: &Holder) -> bool {
        (self.project_id, self.user_id) == (holder.project_id, holder.user_id)
    }

    /// Where to add what was used of a model.
    fn cell(
        &mut self,
        key_id: ApiKeyId,
        model: &str,
        amounts: &Amounts,
        index: &mut Index,
    ) -> &mut Cell {
        let model = kept_of_model(model);
        let place = match self.place(model) {
            Some(place) => place,
            None if self.has_room() || !amounts.is_free() && self.make_room(key_id, index) => {
                index.models.insert(model_hash(model));
                self.models.push((model.into(), Cell::default()));
                self.models.len() - 1
            }
            None => return self.rest(key_id, index),
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just now")]
        &mut self.models[place].1
    }

    fn rest(&mut self, key_id: ApiKeyId, index: &mut Index) -> &mut Cell {
        self.rest.get_or_insert_with(|| {
            index.rests.insert(key_id);
            Box::default()
        })
    }

    /// Where what was used of a model is.
    fn known(&mut self, model: &str) -> Option<&mut Cell> {
        match self.place(kept_of_model(model)) {
            Some(place) => self.models.get_mut(place).map(|(_, cell)| cell),
            None => self.rest.as_deref_mut(),
        }
    }

    fn place(&self, model: &str) -> Option<usize> {
        let named = |(name, _): &(Box<str>, Cell)| name.eq_ignore_ascii_case(model);
        self.models.iter().position(named)
    }

    fn has_room(&self) -> bool {
        self.models.len() < MOST_MODELS
    }

    /// A name that used nothing loses its place.
    fn make_room(&mut self, key_id: ApiKeyId, index: &mut Index) -> bool {
        let Some(place) = self.models.iter().position(|(_, cell)| cell.is_free()) else {
            return false;
        };
        let (_, cell) = self.models.swap_remove(place);
        let rest = self.rest(key_id, index);
        for (span, requests) in rest.spans.iter_mut().zip(cell.spans) {
            span.add(requests.index, &requests.amounts);
        }
        true
    }

    /// What was used in a window, by model.
    pub(super) fn used(
        &self,
        window: Window,
        index: i32,
    ) -> impl Iterator<Item = (&str, &Amounts)> {
        let cells = self.models.iter().map(|(model, cell)| (&**model, cell));
        cells.filter_map(move |(model, cell)| Some((model, cell.used(window, index)?)))
    }

    /// What was used in a window of models without a place of their own.
    pub(super) fn used_of_rest(&self, window: Window, index: i32) -> Option<&Amounts> {
        self.rest.as_ref()?.used(window, index)
    }
}

impl Cell {
    fn used(&self, window: Window, index: i32) -> Option<&Amounts> {
        let place = KEPT.iter().position(|kept| *kept == window)?;
        let span = self.spans.get(place)?;
        (span.index == index).then_some(&span.amounts)
    }

    fn is_of(&self, running: [i32; KEPT.len()]) -> bool {
        let mut spans = self.spans.iter().zip(running);
        spans.any(|(span, index)| span.index >= index)
    }

    fn is_free(&self) -> bool {
        self.spans.iter().all(|span| span.amounts.is_free())
    }
}
