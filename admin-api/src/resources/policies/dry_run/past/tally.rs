//! How many, and why.

use domain::PolicyId;
use policy_engine::{Denial, Notes, Replayed};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::shown;

/// So many examples of each reason are shown.
const MOST_EXAMPLES: usize = 20;

/// What would have been decided about requests that were made.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Tally {
    /// Those that would have been forwarded.
    admitted: u64,
    /// Of these, those that would have had a warning.
    warned: u64,
    /// And those that the log would have been told of.
    logged: u64,
    /// Those that would have been refused.
    refused: u64,
    /// What counts but was asked for earlier, as results of batches.
    counted: u64,
    /// Those of projects that aren't there any more: nothing is known of their rules.
    unknown: u64,
    /// Those that would have been refused, by who refuses and why.
    refusals: Vec<Refusals>,
}

/// Requests that a rule would have refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusals {
    error_code: &'static str,
    /// Null where it is a setting, or a policy that isn't made yet.
    policy_id: Option<Uuid>,
    policy: Option<String>,
    count: u64,
    /// Of the first.
    message: String,
    /// Ids of the first 20.
    request_ids: Vec<Uuid>,
}

impl Tally {
    pub(super) fn add(&mut self, request_id: Uuid, replayed: Replayed, nameless: Option<PolicyId>) {
        match replayed {
            Replayed::Admitted(Notes {
                warnings, logged, ..
            }) => {
                self.admitted += 1;
                self.warned += u64::from(!warnings.is_empty());
                self.logged += u64::from(!logged.is_empty());
            }
            Replayed::Denied(denial) => {
                self.refused += 1;
                self.refuse(request_id, &denial, nameless);
            }
            Replayed::Counted => self.counted += 1,
            Replayed::Unknown => self.unknown += 1,
        }
    }

    fn refuse(&mut self, request_id: Uuid, denial: &Denial, nameless: Option<PolicyId>) {
        let (policy_id, policy) = shown::policy(Some(denial), nameless);
        let error_code = denial.reason.as_str();
        let is_same = |known: &&mut Refusals| {
            (known.error_code, known.policy_id, &known.policy) == (error_code, policy_id, &policy)
        };
        if let Some(known) = self.refusals.iter_mut().find(is_same) {
            known.count += 1;
            if known.request_ids.len() < MOST_EXAMPLES {
                known.request_ids.push(request_id);
            }
            return;
        }
        self.refusals.push(Refusals {
            error_code,
            policy_id,
            policy,
            count: 1,
            message: denial.message.clone(),
            request_ids: vec![request_id],
        });
    }
}
