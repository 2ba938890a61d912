//! How full the buckets of one rate are. What can be looked at and put back, where a limiter alone can only be taken from.

use std::sync::Arc;
use std::time::Duration;

use dashmap::{DashMap, Entry};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use rustc_hash::FxBuildHasher;

use crate::budget::Account;

/// For each account the moment at which its bucket is full again; none of those that are full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels(Arc<DashMap<Account, Nanos, FxBuildHasher>>);

/// What a bucket is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Look(Account),
    Take(Account),
}

impl Levels {
    /// Has a bucket full so much sooner.
    pub(crate) fn lower(&self, account: &Account, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        if let Some(mut full_at) = self.0.get_mut(account) {
            *full_at = Nanos::new(full_at.as_u64().saturating_sub(by));
        }
    }
}

impl StateStore for Levels {
    type Key = Question;

    fn measure_and_replace<T, F, E>(&self, question: &Question, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let account = match question {
            Question::Look(account) => {
                let full_at = self.0.get(account).map(|full_at| *full_at);
                return measure(full_at).map(|(answer, _)| answer);
            }
            Question::Take(account) => *account,
        };
        let entry = self.0.entry(account);
        let full_at = match &entry {
            Entry::Occupied(entry) => Some(*entry.get()),
            Entry::Vacant(_) => None,
        };
        let (answer, full_at) = measure(full_at)?;
        entry.insert(full_at);
        Ok(answer)
    }
}

impl ShrinkableKeyedStateStore<Question> for Levels {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain(|_, full_at| *full_at > drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
