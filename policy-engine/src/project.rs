//! All that decides about a project's requests, compiled.

use std::sync::Arc;

use domain::{OrgId, PolicyId, ProjectId};

use crate::book::Book;
use crate::budget::{Budget, People};
use crate::rate::Buckets;
use crate::registry::Registry;
use crate::rules::{AccessRule, Policy};

/// What is in force for a project. A running request keeps what it was admitted under.
#[derive(Debug)]
pub(crate) struct ProjectRules {
    pub(crate) org_id: OrgId,
    pub(crate) project_id: ProjectId,
    pub(crate) org_slug: Arc<str>,
    pub(crate) people: Arc<People>,
    pub(crate) book: Arc<Book>,
    pub(crate) plan: Plan,
    /// The organization's that are about this project, in order.
    pub(crate) of_organization: Vec<Arc<Policy>>,
    /// `settings.allowed_models`
    pub(crate) models: Option<AccessRule>,
    pub(crate) registry: Registry,
    /// The project's own, in order.
    pub(crate) of_project: Vec<Arc<Policy>>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) rates: Vec<Rate>,
    /// What can't be understood, and never could.
    pub(crate) broken: Option<Broken>,
}

/// `subscriptions.status`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Good,
    PastDue,
    Canceled,
}

/// A rate of requests per minute.
#[derive(Debug)]
pub(crate) struct Rate {
    pub(crate) budget: Budget,
    pub(crate) buckets: Buckets,
}

/// A policy, or settings, with a fault in it.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) policy: Option<(PolicyId, Arc<str>)>,
    pub(crate) fault: String,
}
