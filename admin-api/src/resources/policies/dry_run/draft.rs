//! The policy of a dry run: a new one, one in place of another, one that there is, or one that is gone.

use domain::{PolicyId, ProjectId};
use policy_engine::{PolicyChange, PolicySource, PolicyStatus};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{NewPolicy, Policy, TYPES};
use crate::caller::Caller;
use crate::check;
use crate::error::{ApiError, Result};
use crate::listing;
use crate::resources::organizations::Organization;
use crate::resources::projects::Project;
use crate::rules::{self, PolicyWords};
use crate::server::Shared;
use crate::transaction::Transaction;

/// What was asked for.
pub(super) enum Draft {
    New(Box<NewPolicy>),
    Instead(Uuid, Box<NewPolicy>),
    AsItIs(Uuid),
    Gone(Uuid),
}

/// What it comes to.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) change: PolicyChange,
    pub(super) org_id: Uuid,
    /// Of a policy that isn't made yet: nobody knows its id.
    pub(super) nameless: Option<PolicyId>,
}

impl Draft {
    pub(super) fn read(
        policy: Option<NewPolicy>,
        policy_id: Option<Uuid>,
        remove: bool,
    ) -> Result<Self> {
        match (policy, policy_id, remove) {
            (Some(_), _, true) => Err(ApiError::invalid(
                "remove",
                "is about the policy of policy_id, and can't be given together with policy",
            )),
            (None, None, _) => Err(ApiError::invalid("policy", "is required, or policy_id")),
            (Some(policy), None, false) => Ok(Self::New(checked(policy)?)),
            (Some(policy), Some(id), false) => Ok(Self::Instead(id, checked(policy)?)),
            (None, Some(id), false) => Ok(Self::AsItIs(id)),
            (None, Some(id), true) => Ok(Self::Gone(id)),
        }
    }

    /// Finds what it is about, if the caller may see that.
    pub(super) async fn find(self, transaction: &Transaction, caller: &Caller) -> Result<Found> {
        let (found, new) = match self {
            Self::New(new) => (None, Some(new)),
            Self::Instead(id, new) => (Some(id), Some(new)),
            Self::AsItIs(id) => (Some(id), None),
            Self::Gone(id) => {
                let policy: Policy = listing::find(transaction, caller, id).await?;
                return Ok(Found {
                    org_id: owner(transaction, caller, policy.org_id, policy.project_id).await?,
                    words: Words::Gone(id),
                });
            }
        };
        let there: Option<Policy> = match found {
            Some(id) => Some(listing::find(transaction, caller, id).await?),
            None => None,
        };
        let created = there.as_ref().map(|there| there.created_at);
        let id = there.as_ref().map_or_else(Uuid::now_v7, |there| there.id);
        let source = |name, kind, rules, applies_to, priority| PolicySource {
            id: PolicyId(id),
            name,
            kind,
            rules,
            applies_to,
            priority,
            status: PolicyStatus::Active,
            // The youngest of its priority, if it isn't made yet.
            created_unix_micros: created.map_or(i64::MAX, |at| at.timestamp_micros()),
        };
        let (org_id, project_id, policy) = match (new, there) {
            (Some(mut new), there) => {
                let org_id = match (new.org_id, new.project_id, there) {
                    // What isn't said stays, as in any change.
                    (None, None, Some(there)) => {
                        new.project_id = there.project_id;
                        there.org_id
                    }
                    (None, Some(_), _) => None,
                    (given, ..) => Some(caller.org_of_new(given)?),
                };
                let applies_to = new.applies_to.unwrap_or_else(|| json!({}));
                let priority = new.priority.unwrap_or(100);
                let policy = source(new.name, new.policy_type, new.rules, applies_to, priority);
                (org_id, new.project_id, policy)
            }
            (None, Some(it)) => {
                let policy = source(
                    it.name,
                    it.policy_type,
                    it.rules,
                    it.applies_to,
                    it.priority,
                );
                (it.org_id, it.project_id, policy)
            }
            (None, None) => return Err(ApiError::invalid("policy", "is required, or policy_id")),
        };
        Ok(Found {
            org_id: owner(transaction, caller, org_id, project_id).await?,
            words: Words::Put {
                project_id: project_id.map(ProjectId),
                policy: Box::new(policy),
                is_new: found.is_none(),
            },
        })
    }
}

/// A policy, and whose it is.
pub(super) struct Found {
    pub(super) org_id: Uuid,
    words: Words,
}

enum Words {
    Gone(Uuid),
    Put {
        project_id: Option<ProjectId>,
        policy: Box<PolicySource>,
        is_new: bool,
    },
}

impl Found {
    /// Refuses what the data plane wouldn't understand.
    pub(super) async fn compile(self, shared: &Shared) -> Result<Tried> {
        let (change, nameless) = match self.words {
            Words::Gone(id) => (PolicyChange::Remove(PolicyId(id)), None),
            Words::Put {
                project_id,
                policy,
                is_new,
            } => {
                let words = PolicyWords {
                    kind: policy.kind.clone(),
                    rules: policy.rules.clone(),
                    applies_to: policy.applies_to.clone(),
                    is_projects: project_id.is_some(),
                };
                rules::refuse(&rules::policy_faults(shared, words).await)?;
                let id = policy.id;
                let change = PolicyChange::Put {
                    project_id,
                    policy: *policy,
                };
                (change, is_new.then_some(id))
            }
        };
        Ok(Tried {
            change,
            org_id: self.org_id,
            nameless,
        })
    }
}

/// What is checked of a new policy before anybody looks for what it is about.
fn checked(new: NewPolicy) -> Result<Box<NewPolicy>> {
    check::text("policy.name", &new.name, 255)?;
    check::one_of("policy.policy_type", &new.policy_type, TYPES)?;
    if let Some(status) = &new.status {
        check::one_of("policy.status", status, super::super::STATUSES)?;
    }
    check::json("policy.rules", &new.rules)?;
    let applies_to = new.applies_to.as_ref().unwrap_or(&Value::Null);
    check::json("policy.applies_to", applies_to)?;
    Ok(Box::new(new))
}

/// The organization of a policy.
async fn owner(
    transaction: &Transaction,
    caller: &Caller,
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
) -> Result<Uuid> {
    if let Some(project_id) = project_id {
        let project: Project = listing::find(transaction, caller, project_id).await?;
        project.must_be_of(org_id)?;
        return Ok(project.org_id);
    }
    let org_id = org_id.ok_or_else(|| ApiError::not_found("organization"))?;
    let _there: Organization = listing::find(transaction, caller, org_id).await?;
    Ok(org_id)
}
