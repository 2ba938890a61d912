//! Keys on their way into memory, one after the other, so that a million of them are not there twice.
//!
//! Guarantees: a key counts as soon as it has come; one whose project's rules aren't in force waits for them; what is gone is
//! forgotten when all have come, and never before.

use std::collections::{BTreeSet, HashSet};

use domain::{ApiKeyId, OrgId};
use proxy::TenantState;

use super::Memory;
use crate::snapshot::load::{KeyRow, Loaded, Scope};

/// The keys of a scope.
pub(in crate::snapshot) struct Arriving<'a> {
    scope: &'a Scope,
    /// Who has come. Nobody keeps count as long as there is nothing that could be gone.
    present: Option<HashSet<ApiKeyId>>,
    waiting: Vec<Loaded>,
}

impl<'a> Arriving<'a> {
    pub(in crate::snapshot) fn new(scope: &'a Scope, memory: &mut Memory) -> Self {
        memory.changes += 1;
        Self {
            scope,
            present: (!memory.rows.is_empty()).then(HashSet::new),
            waiting: Vec::new(),
        }
    }

    /// Puts a key in force, or lets it wait.
    pub(in crate::snapshot) fn take(&mut self, loaded: Loaded, memory: &mut Memory) {
        if let Some(present) = &mut self.present {
            present.insert(loaded.row.id());
        }
        if is_without_rules(&loaded, memory) {
            self.waiting.push(loaded);
        } else {
            memory.put(loaded);
        }
    }

    /// Whose rules are waited for.
    pub(in crate::snapshot) fn without_rules(&self) -> BTreeSet<OrgId> {
        let waiting = self.waiting.iter();
        let organizations = waiting.map(|loaded| match &loaded.row {
            KeyRow::Key(record) => record.org_id,
            KeyRow::Senseless { org_id, .. } => *org_id,
        });
        organizations.collect()
    }

    /// Puts in force what waits, and forgets what is gone.
    pub(in crate::snapshot) fn finish(self, memory: &mut Memory) {
        for loaded in self.waiting {
            memory.put(loaded);
        }
        if let Some(present) = self.present {
            memory.keep(self.scope, &present);
        }
        memory.show_count();
    }
}

fn is_without_rules(loaded: &Loaded, memory: &Memory) -> bool {
    match &loaded.row {
        KeyRow::Key(record) => {
            record.tenant.state == TenantState::Active && !memory.rules.knows(record.project_id)
        }
        KeyRow::Senseless { .. } => false,
    }
}
