//! What counts without having been held: what was settled before this process began, and what is known of only later.

use domain::{ApiKeyId, OrgId, ProjectId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::book::{Amounts, Used};
use crate::budget::Holder;
use crate::limit::Window;

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
    /// What was used.
    pub amounts: Amounts,
}

/// What was used at a moment, without anything held for it: whether it counts was known only later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateUsage {
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
    /// When it was used.
    pub at: Timestamp,
    /// What was used.
    pub amounts: Amounts,
}

impl LateUsage {
    pub(super) fn used(&self) -> Used<'_> {
        Used {
            holder: Holder {
                org_id: self.org_id,
                project_id: self.project_id,
                user_id: self.user_id,
                key_id: self.key_id.unwrap_or(nobodys_key(self.project_id)),
            },
            model: &self.model,
            at: self.at,
            amounts: self.amounts,
            learn_from: None,
        }
    }
}

/// That something which was settled cost more or less than was known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Whose key it was.
    pub org_id: OrgId,
    /// The key's project.
    pub project_id: ProjectId,
    /// The key; none of what belongs to a project alone.
    pub key_id: Option<ApiKeyId>,
    /// The model that answered.
    pub model: String,
    /// A moment of the hour in which it was admitted, in microseconds since 1970.
    pub unix_micros: i64,
    /// How much more; less if negative.
    pub picodollars: i64,
}

impl Correction {
    pub(super) fn entry(&self) -> (ApiKeyId, ProjectId, &str, Timestamp, i64) {
        let key_id = self.key_id.unwrap_or(nobodys_key(self.project_id));
        let at = Timestamp {
            unix_micros: self.unix_micros,
        };
        (key_id, self.project_id, &self.model, at, self.picodollars)
    }
}

/// What no key has used is kept apart by project, under a key that nobody has.
fn nobodys_key(project_id: ProjectId) -> ApiKeyId {
    ApiKeyId(Uuid::from_u128(!project_id.0.as_u128()))
}

impl Settled {
    pub(super) fn entry(&self) -> (Holder, &str, (Window, i32), Amounts) {
        let holder = Holder {
            org_id: self.org_id,
            project_id: self.project_id,
            user_id: self.user_id,
            key_id: self.key_id.unwrap_or(nobodys_key(self.project_id)),
        };
        (holder, &self.model, (self.window, self.index), self.amounts)
    }
}
