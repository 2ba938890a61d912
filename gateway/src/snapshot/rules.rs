//! The rules in force, organization by organization: what the engine was given, and from which rows it is made.
//!
//! Guarantees: the engine is told of what has changed and of nothing else; what is gone stays in force until [`Rules::let_go`], so
//! that keys that need it can go first; of every row that is part of an organization's rules it is known whose it is, so
//! that a row that was deleted is too.

mod draft;
mod faults;
mod follow;
mod load;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use domain::{OrgId, ProjectId};
use policy_engine::{Engine, OrgSource, ProjectSource};
use uuid::Uuid;

use self::faults::Faults;
use super::load::Fingerprint;
use super::saved::SavedOrganization;

/// Keeps an engine's rules.
pub(super) struct Rules {
    engine: Arc<Engine>,
    held: BTreeMap<OrgId, OrgRules>,
    /// Of every project that the engine knows.
    owners: HashMap<ProjectId, OrgId>,
    /// Organizations of which the engine knows more than there is.
    leaving: BTreeSet<OrgId>,
    faults: Faults,
}

/// One organization's rules, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct OrgRules {
    org: Arc<OrgSource>,
    /// In the order of their ids.
    projects: Vec<Arc<ProjectSource>>,
    /// Ids of all rows that it is made of.
    rows: Vec<Uuid>,
    fingerprint: Fingerprint,
}

/// Which organizations to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Everybody,
    These(BTreeSet<OrgId>),
}

impl Whose {
    fn covers(&self, id: OrgId) -> bool {
        match self {
            Self::Everybody => true,
            Self::These(ids) => ids.contains(&id),
        }
    }
}

impl Rules {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            held: BTreeMap::new(),
            owners: HashMap::new(),
            leaving: BTreeSet::new(),
            faults: Faults::default(),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many policies and settings can't be understood.
    pub(super) fn faults(&self) -> usize {
        self.faults.count()
    }

    pub(super) fn knows(&self, project: ProjectId) -> bool {
        self.owners.contains_key(&project)
    }

    /// What all of it is made of.
    fn fingerprint(&self) -> Fingerprint {
        let each = self.held.values().map(|rules| rules.fingerprint);
        each.fold(Fingerprint::default(), Fingerprint::with)
    }

    /// Organizations that aren't made of these.
    fn unlike(&self, now: &BTreeMap<OrgId, Fingerprint>) -> BTreeSet<OrgId> {
        let held = |id: &OrgId| self.held.get(id).map(|rules| rules.fingerprint);
        let all = now.keys().chain(self.held.keys());
        all.filter(|id| held(id) != now.get(id).copied())
            .copied()
            .collect()
    }

    /// Organizations whose rules any of these rows is part of.
    fn made_of(&self, rows: &HashSet<Uuid>) -> BTreeSet<OrgId> {
        let is_of = |rules: &OrgRules| rules.rows.iter().any(|row| rows.contains(row));
        let found = self.held.iter().filter(|(_, rules)| is_of(rules));
        found.map(|(id, _)| *id).collect()
    }

    /// Puts in force what was loaded. What is gone from it stays until [`Self::let_go`]. Answers whether anything is new or gone.
    pub(super) fn replace(&mut self, whose: &Whose, loaded: BTreeMap<OrgId, OrgRules>) -> bool {
        let is_gone = |id: &OrgId| whose.covers(*id) && !loaded.contains_key(id);
        let gone: Vec<_> = self.held.keys().copied().filter(is_gone).collect();
        let mut changed = !gone.is_empty();
        for id in gone {
            self.held.remove(&id);
            self.leaving.insert(id);
        }
        // Before anything is put: a project that has moved isn't gone.
        for rules in loaded.values() {
            let owned = rules.projects.iter();
            self.owners
                .extend(owned.map(|project| (project.id, rules.org.id)));
        }
        for (id, rules) in loaded {
            changed |= self.put(id, rules);
        }
        changed
    }

    fn put(&mut self, id: OrgId, rules: OrgRules) -> bool {
        let before = self.held.remove(&id);
        let is_same = before.as_ref().is_some_and(|before| before.says(&rules));
        if !is_same || self.leaving.contains(&id) {
            let mut projects = rules.projects.clone();
            let before = before.map_or_else(Vec::new, |before| before.projects);
            projects.extend(before.into_iter().filter(|project| {
                !rules.has(project.id) && self.owners.get(&project.id) == Some(&id)
            }));
            if projects.len() > rules.projects.len() {
                self.leaving.insert(id);
            }
            let faults = self.engine.replace(&rules.org, &projects);
            self.faults.note(id, faults);
        }
        self.held.insert(id, rules);
        !is_same
    }

    /// Takes out of force what is gone.
    pub(super) fn let_go(&mut self) {
        let leaving = std::mem::take(&mut self.leaving);
        for id in &leaving {
            if let Some(rules) = self.held.get(id) {
                let faults = self.engine.replace(&rules.org, &rules.projects);
                self.faults.note(*id, faults);
            } else {
                self.engine.remove(*id);
                self.faults.note(*id, Vec::new());
            }
        }
        if !leaving.is_empty() {
            let held = &self.held;
            let is_held = |owner: &OrgId, project: ProjectId| {
                let rules = held.get(owner);
                rules.is_some_and(|rules| rules.has(project))
            };
            self.owners
                .retain(|project, owner| is_held(owner, *project));
        }
    }

    /// All of it, to be kept on disk.
    pub(super) fn contents(&self) -> Vec<SavedOrganization> {
        let saved = |rules: &OrgRules| SavedOrganization {
            org: Arc::clone(&rules.org),
            projects: rules.projects.clone(),
        };
        self.held.values().map(saved).collect()
    }

    /// Puts in force what was kept on disk. Nothing is known of its rows, so the first load replaces it.
    pub(super) fn restore(&mut self, saved: Vec<SavedOrganization>) {
        let rules = |saved: SavedOrganization| {
            let rules = OrgRules {
                org: saved.org,
                projects: saved.projects,
                rows: Vec::new(),
                fingerprint: Fingerprint::default(),
            };
            (rules.org.id, rules)
        };
        let loaded = saved.into_iter().map(rules).collect();
        self.replace(&Whose::Everybody, loaded);
        self.let_go();
    }
}

impl OrgRules {
    fn has(&self, project: ProjectId) -> bool {
        let found = self.projects.binary_search_by_key(&project, |held| held.id);
        found.is_ok()
    }

    /// Whether the engine would be told the same.
    fn says(&self, other: &Self) -> bool {
        (&self.org, &self.projects) == (&other.org, &other.projects)
    }
}

#[cfg(test)]
mod tests;
