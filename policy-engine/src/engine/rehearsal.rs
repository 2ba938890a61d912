//! What would be decided if a policy were another one.
//!
//! Guarantees: the rules are compiled and asked as those in force are, on the counters that there are; nothing that anybody else
//! sees is changed by it, neither rules nor counters nor buckets. What is compiled is one project's.

use std::sync::Arc;

use domain::{OrgId, PolicyId, PriceBook, ProjectId, Timestamp};

use super::admit::{Explained, explain};
use super::items::{ItemRules, item_rules};
use super::{Engine, Organization, compile};
use crate::facts::{Caller, Request};
use crate::project::ProjectRules;
use crate::source::{OrgSource, PolicySource, ProjectSource};

/// What is done to an organization's policies.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyChange {
    /// One is added, or takes the place of the one with its id.
    Put {
        /// Whose it is; none: the organization's.
        project_id: Option<ProjectId>,
        /// The policy.
        policy: PolicySource,
    },
    /// One is gone.
    Remove(PolicyId),
}

/// The rules of a project, as they are or as they would be. Asked, they hold and take nothing.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    rules: Arc<ProjectRules>,
}

impl Rehearsal {
    /// What would be decided about a request.
    #[must_use]
    pub fn explain(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        prices: &PriceBook,
        now: Timestamp,
    ) -> Explained {
        explain(&self.rules, caller, request, prices, now)
    }

    /// What the items of a batch would be shown to.
    #[must_use]
    pub fn item_rules(&self, caller: &Caller, now: Timestamp) -> Option<ItemRules> {
        item_rules(Arc::clone(&self.rules), caller, now)
    }
}

impl Engine {
    /// A project's rules as they are.
    #[must_use]
    pub fn present(&self, org_id: OrgId, project_id: ProjectId) -> Option<Rehearsal> {
        let rules = self.rules_in(org_id, project_id)?;
        Some(Rehearsal { rules })
    }

    /// A project's rules as they would be. Compiling them may take a while, for which nothing is locked.
    #[must_use]
    pub fn rehearse(
        &self,
        org_id: OrgId,
        project_id: ProjectId,
        change: &PolicyChange,
    ) -> Option<Rehearsal> {
        let people = Arc::clone(&self.rules_in(org_id, project_id)?.people);
        let (before, org, projects) = self.sources(org_id)?;
        let project = projects.iter().find(|project| project.id == project_id)?;
        // Who there is is known already, and may be a million.
        let (mut org, mut project) = (without_roles(&org), ProjectSource::clone(project));
        change.apply(&mut org, std::slice::from_mut(&mut project));
        let rates = self.rates.aside();
        let compiled = compile::among(people, &org, &[Arc::new(project)], &before, &rates);
        let rules = compiled.rules.into_iter().next()?;
        Some(Rehearsal {
            rules: Arc::new(rules),
        })
    }

    /// What an organization's rules are made of, and what is in force, as it is kept when a policy can't be understood.
    pub(super) fn sources(
        &self,
        org_id: OrgId,
    ) -> Option<(Organization, Arc<OrgSource>, Vec<Arc<ProjectSource>>)> {
        let organization = self.organizations.get(&org_id)?;
        let source = Arc::clone(organization.source.as_ref()?);
        let before = Organization {
            book: Arc::clone(&organization.book),
            policies: organization.policies.clone(),
            ..Organization::default()
        };
        Some((before, source, organization.projects.clone()))
    }
}

impl PolicyChange {
    /// Of what isn't there nothing is changed.
    pub(super) fn apply(&self, org: &mut OrgSource, projects: &mut [ProjectSource]) {
        let id = match self {
            Self::Put { policy, .. } => policy.id,
            Self::Remove(id) => *id,
        };
        let of_projects = projects.iter_mut().map(|project| &mut project.policies);
        for policies in of_projects.chain([&mut org.policies]) {
            policies.retain(|policy| policy.id != id);
        }
        let Self::Put { project_id, policy } = self else {
            return;
        };
        let policies = match project_id {
            None => Some(&mut org.policies),
            Some(id) => projects
                .iter_mut()
                .find(|project| project.id == *id)
                .map(|project| &mut project.policies),
        };
        if let Some(policies) = policies {
            policies.push(policy.clone());
        }
    }
}

pub(super) fn without_roles(org: &OrgSource) -> OrgSource {
    OrgSource {
        id: org.id,
        slug: org.slug.clone(),
        settings: org.settings.clone(),
        subscription: org.subscription.clone(),
        roles: [].into(),
        policies: org.policies.clone(),
    }
}
