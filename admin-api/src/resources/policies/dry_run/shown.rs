//! Decisions, as they are shown.

use domain::PolicyId;
use policy_engine::{Denial, Note, Step};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::data_plane::{Refusal, Verdict};

/// What is decided about a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decision {
    /// Whether it would be forwarded.
    allowed: bool,
    /// Of the answer that refuses it; what follows is null where it isn't refused.
    status: Option<u16>,
    error_type: Option<&'static str>,
    error_code: Option<&'static str>,
    message: Option<String>,
    /// Which policy refuses; null where it is a setting, or a policy that isn't made yet.
    policy_id: Option<Uuid>,
    policy: Option<String>,
    /// Of a limit: what there may be.
    limit: Option<String>,
    spent: Option<String>,
    /// `tokens`, `input_tokens`, `output_tokens`, `requests`, `usd`
    unit: Option<&'static str>,
    resets_at: Option<String>,
    /// The item of a batch that is refused.
    item: Option<u64>,
    /// What its caller would be told in `x-mindweave-warning`.
    warnings: Vec<Remark>,
    /// What the log would be told.
    logged: Vec<Remark>,
    /// The rules that were looked at, in order, up to the one that refuses.
    trace: Vec<Looked>,
}

/// Something that is said of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Remark {
    policy_id: Option<Uuid>,
    policy: Option<String>,
    message: String,
}

/// A rule that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Looked {
    rule: String,
    outcome: String,
}

impl Decision {
    /// `nameless` is a policy that isn't made yet.
    pub(super) fn of(verdict: Verdict, nameless: Option<PolicyId>) -> Self {
        let Verdict {
            refusal,
            notes,
            steps,
        } = verdict;
        let remarks = |notes: Vec<Note>| {
            let notes = notes.into_iter();
            notes.map(|note| Remark::of(note, nameless)).collect()
        };
        let mut decision = Self::refused(refusal, nameless);
        decision.warnings = remarks(notes.warnings);
        decision.logged = remarks(notes.logged);
        decision.trace = steps.into_iter().map(Looked::of).collect();
        decision
    }

    fn refused(refusal: Option<Refusal>, nameless: Option<PolicyId>) -> Self {
        let denial = refusal
            .as_ref()
            .and_then(|refusal| refusal.denial.as_deref());
        let (policy_id, policy) = policy(denial, nameless);
        let exhausted = denial.and_then(|denial| denial.exhausted.as_ref());
        let item = denial.and_then(|denial| denial.item.as_ref());
        Self {
            allowed: refusal.is_none(),
            policy_id,
            policy,
            limit: exhausted.map(|it| it.limit.clone()),
            spent: exhausted.map(|it| it.spent.clone()),
            unit: exhausted.map(|it| it.unit),
            resets_at: exhausted.map(|it| it.resets_at.rfc3339()),
            item: item.map(|item| item.index),
            status: refusal.as_ref().map(|it| it.status),
            error_type: refusal.as_ref().map(|it| it.kind),
            error_code: refusal.as_ref().map(|it| it.error_code),
            message: refusal.map(|it| it.message),
            warnings: Vec::new(),
            logged: Vec::new(),
            trace: Vec::new(),
        }
    }
}

impl Remark {
    fn of(note: Note, nameless: Option<PolicyId>) -> Self {
        let (policy_id, policy) = named(note.policy, nameless);
        Self {
            policy_id,
            policy,
            message: note.message,
        }
    }
}

impl Looked {
    fn of(step: Step) -> Self {
        let Step { rule, outcome } = step;
        Self { rule, outcome }
    }
}

/// The policy that refuses, by id and name.
pub(super) fn policy(
    denial: Option<&Denial>,
    nameless: Option<PolicyId>,
) -> (Option<Uuid>, Option<String>) {
    named(denial.and_then(|denial| denial.policy.clone()), nameless)
}

pub(super) fn named(
    policy: Option<(PolicyId, std::sync::Arc<str>)>,
    nameless: Option<PolicyId>,
) -> (Option<Uuid>, Option<String>) {
    let Some((id, name)) = policy else {
        return (None, None);
    };
    let is_named = nameless != Some(id);
    (is_named.then_some(id.0), Some(name.to_string()))
}
