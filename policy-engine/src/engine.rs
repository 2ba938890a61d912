//! What is in force, and what was spent under it.
//!
//! Guarantees: counters are those of budgets, not of rules: a reload resets none; a policy that can't be understood leaves the one
//! before in force, and where there was none, nothing passes that it may be about.

mod admit;
mod compile;
mod items;
mod limits;
mod rehearsal;
mod replay;
mod settled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dashmap::DashMap;
use domain::{Clock, OrgId, PolicyId, ProjectId, Timestamp};
use rustc_hash::{FxBuildHasher, FxHashSet};

pub use admit::{Admitted, Explained, Refused, Spend};
pub use compile::PolicyFaults;
pub use items::{Item, ItemRules};
pub use limits::{LimitOf, LimitOrigin, Limits, LimitsOf, Standing};
pub use rehearsal::{PolicyChange, Rehearsal};
pub use replay::{Past, Replay, Replayed, Untold};
pub use settled::{Correction, LateUsage, Settled};

use crate::book::Book;
use crate::budget::People;
use crate::project::ProjectRules;
use crate::rate::Rates;
use crate::rules::Policy;
use crate::source::{OrgSource, ProjectSource};

/// The rules and counters of all organizations.
#[derive(Debug)]
pub struct Engine {
    rates: Rates,
    organizations: DashMap<OrgId, Organization>,
    projects: DashMap<ProjectId, Arc<ProjectRules>, FxBuildHasher>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Keys that were used in a window that is running.
    pub accounts: usize,
    /// Counters of budgets.
    pub counters: usize,
    /// Buckets of rates.
    pub buckets: usize,
}

/// One organization.
#[derive(Debug, Default)]
struct Organization {
    book: Arc<Book>,
    /// Those in force.
    policies: HashMap<PolicyId, Arc<Policy>>,
    /// What they were made of: for those who ask what another policy would change.
    source: Option<Arc<OrgSource>>,
    projects: Vec<Arc<ProjectSource>>,
}

impl Engine {
    /// Without any rules. Rates go by the clock's monotonic time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            rates: Rates::new(clock),
            organizations: DashMap::new(),
            projects: DashMap::default(),
        }
    }

    /// Puts an organization's rules in force, and forgets projects of it that aren't given. Running requests keep what they were
    /// admitted under; counters go on. Answers what could not be understood.
    pub fn replace(
        &self,
        org: &Arc<OrgSource>,
        projects: &[Arc<ProjectSource>],
    ) -> Vec<PolicyFaults> {
        self.replace_among(Arc::new(compile::people(org, projects)), org, projects)
    }

    /// The same where it is known who there is, and may not be said in `org`.
    fn replace_among(
        &self,
        people: Arc<People>,
        org: &Arc<OrgSource>,
        projects: &[Arc<ProjectSource>],
    ) -> Vec<PolicyFaults> {
        let mut organization = self.organizations.entry(org.id).or_default();
        let compiled = compile::among(people, org, projects, &organization, &self.rates);
        let gone: Vec<_> = organization
            .projects
            .iter()
            .map(|project| project.id)
            .filter(|id| !projects.iter().any(|project| project.id == *id))
            .collect();
        organization.policies = compiled.policies;
        organization.source = Some(Arc::clone(org));
        organization.projects = projects.to_vec();
        let mut added = FxHashSet::default();
        for rules in compiled.rules {
            let before = self.rules_in(org.id, rules.project_id);
            let before = before.iter().flat_map(|rules| rules.budgets.iter());
            let before: FxHashSet<_> = before.map(|budget| budget.id).collect();
            let ids = rules.budgets.iter().map(|budget| budget.id);
            added.extend(ids.filter(|id| !before.contains(id)));
            self.projects.insert(rules.project_id, Arc::new(rules));
        }
        organization.book.look_again(&added);
        self.forget(org.id, &gone);
        compiled.faults
    }

    /// Forgets an organization's rules, and what it spent when the windows of that are over.
    pub fn remove(&self, org_id: OrgId) {
        if let Some(mut organization) = self.organizations.get_mut(&org_id) {
            organization.policies.clear();
            organization.source = None;
            let projects = std::mem::take(&mut organization.projects);
            let projects: Vec<_> = projects.iter().map(|project| project.id).collect();
            self.forget(org_id, &projects);
        }
    }

    /// Whether a project's rules are in force.
    #[must_use]
    pub fn knows(&self, project_id: ProjectId) -> bool {
        self.projects.contains_key(&project_id)
    }

    /// Adds what was settled before this process began. To be called once for everything.
    pub fn add_settled(&self, settled: &[Settled]) {
        for (org_id, settled) in by_organization(settled, |each| each.org_id) {
            let book = self.book(org_id);
            book.add_settled(settled.into_iter().map(Settled::entry));
        }
    }

    /// Adds what was used without anything held for it.
    pub fn add_late(&self, late: &[LateUsage]) {
        for each in late {
            let used = each.used();
            if let Some(rules) = self.rules_in(each.org_id, each.project_id) {
                let budgets = rules.budgets.iter();
                rules.book.settle(&used, budgets, &rules.people);
            } else {
                // Its rules may come, and others of the organization may have been asked for meanwhile.
                self.book(each.org_id).add_used(&used);
            }
        }
    }

    /// Corrects what is known to have been spent.
    pub fn correct<'a>(&self, corrections: impl IntoIterator<Item = &'a Correction>) {
        for (org_id, corrections) in by_organization(corrections, |each| each.org_id) {
            if let Some(organization) = self.organizations.get(&org_id) {
                let entries = corrections.into_iter().map(Correction::entry);
                organization.book.correct(entries);
            }
        }
    }

    /// Forgets windows that are over, and what isn't in force any more. To be called now and then.
    pub fn sweep(&self, now: Timestamp) {
        let mut in_force: HashMap<OrgId, FxHashSet<_>> = HashMap::new();
        for rules in &self.projects {
            let of_org = in_force.entry(rules.org_id).or_default();
            of_org.extend(rules.budgets.iter().map(|budget| budget.id));
        }
        let none = FxHashSet::default();
        for organization in &self.organizations {
            let in_force = in_force.get(organization.key()).unwrap_or(&none);
            organization.book.sweep(now, in_force);
        }
        self.organizations.retain(|_, each| !each.is_over());
        self.rates.sweep();
    }

    /// What it keeps of keys and counters.
    #[must_use]
    pub fn size(&self) -> Size {
        let mut size = Size {
            buckets: self.rates.len(),
            ..Size::default()
        };
        for organization in &self.organizations {
            let (accounts, counters) = organization.book.size();
            size.accounts += accounts;
            size.counters += counters;
        }
        size
    }

    pub(crate) fn rules(&self, project_id: ProjectId) -> Option<Arc<ProjectRules>> {
        let rules = self.projects.get(&project_id)?;
        Some(Arc::clone(rules.value()))
    }

    /// A project's rules, if it is this organization's still.
    fn rules_in(&self, org_id: OrgId, project_id: ProjectId) -> Option<Arc<ProjectRules>> {
        self.rules(project_id)
            .filter(|rules| rules.org_id == org_id)
    }

    /// An organization's, whether its rules are known or not.
    fn book(&self, org_id: OrgId) -> Arc<Book> {
        Arc::clone(&self.organizations.entry(org_id).or_default().book)
    }

    fn forget(&self, org_id: OrgId, projects: &[ProjectId]) {
        for id in projects {
            // It may be another organization's by now.
            self.projects
                .remove_if(id, |_, rules| rules.org_id == org_id);
        }
    }
}

impl Organization {
    /// Whether it has no rules, and nothing that it spent matters any more.
    fn is_over(&self) -> bool {
        let has_no_rules = self.projects.is_empty() && self.policies.is_empty();
        // Whoever has the book is about to write in it, or holds something.
        has_no_rules && Arc::strong_count(&self.book) == 1 && self.book.size() == (0, 0)
    }
}

/// So that each book is opened once.
fn by_organization<'a, T>(
    all: impl IntoIterator<Item = &'a T>,
    org_id: impl Fn(&T) -> OrgId,
) -> BTreeMap<OrgId, Vec<&'a T>> {
    let mut by_organization: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for each in all {
        by_organization.entry(org_id(each)).or_default().push(each);
    }
    by_organization
}
