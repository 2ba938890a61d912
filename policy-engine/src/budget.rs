//! A limit bound to what it is about: whose requests it counts, under which name.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use domain::{ApiKeyId, OrgId, PolicyId, ProjectId, UserId, model};
use uuid::Uuid;

use crate::facts::Role;
use crate::limit::{Limit, Per, Scope, UsageAction};

/// One limit in force.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    /// The same as long as it counts the same: a changed amount doesn't change it.
    pub(crate) id: BudgetId,
    pub(crate) origin: Origin,
    pub(crate) limit: Limit,
    pub(crate) per: Per,
    pub(crate) action: UsageAction,
    pub(crate) warn_at_percent: Option<u8>,
    pub(crate) allow_unpriced: bool,
    /// Only this project's requests count; none if those of the whole organization do.
    pub(crate) project_id: Option<ProjectId>,
    /// Whose requests count; none if everybody's do.
    pub(crate) whose: Option<Arc<dyn Whose>>,
}

/// Tells budgets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BudgetId(pub(crate) u64);

/// Where a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `subscriptions.limits`
    Subscription,
    /// `projects.quotas`
    Quota,
    /// A policy: its id and name.
    Policy(PolicyId, Arc<str>),
}

/// A key, as far as budgets tell keys apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) org_id: OrgId,
    pub(crate) project_id: ProjectId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) key_id: ApiKeyId,
}

/// Says whose requests a budget counts, and of which models.
pub(crate) trait Whose: std::fmt::Debug + Send + Sync {
    /// Whether a key's requests for a model count.
    fn counts(&self, holder: &Holder, people: &People, model: &str) -> bool;

    /// Whether it could count requests of some key of these, whatever they ask for.
    fn may_count(&self, whom: &Whom, people: &People) -> bool;
}

/// Keys, as far as it is said which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whom {
    /// Those of a project.
    pub project_id: Option<ProjectId>,
    /// Those of a user.
    pub user_id: Option<UserId>,
    /// This one.
    pub key_id: Option<ApiKeyId>,
}

/// What is known of an organization's people and projects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct People {
    pub(crate) roles: BTreeMap<UserId, Role>,
    pub(crate) projects: BTreeMap<ProjectId, Arc<str>>,
}

impl People {
    pub(crate) fn role(&self, user_id: Option<UserId>) -> Option<Role> {
        self.roles.get(&user_id?).copied()
    }

    pub(crate) fn slug(&self, project_id: ProjectId) -> &str {
        self.projects.get(&project_id).map_or("", AsRef::as_ref)
    }
}

/// One counter of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    pub(crate) budget: BudgetId,
    pub(crate) holder: Uuid,
    /// 0 where models aren't kept apart.
    pub(crate) model: u64,
}

impl Budget {
    /// Whether a key's requests for a model count.
    pub(crate) fn counts(&self, holder: &Holder, people: &People, model: &str) -> bool {
        let is_of = |project_id| project_id == holder.project_id;
        let whose = self.whose.as_ref();
        self.project_id.is_none_or(is_of)
            && whose.is_none_or(|whose| whose.counts(holder, people, model))
    }

    /// Whether it could count requests of some key of these, whatever they ask for.
    pub(crate) fn may_count(&self, whom: &Whom, people: &People) -> bool {
        let mut projects = self.project_id.iter().zip(&whom.project_id);
        let whose = self.whose.as_ref();
        projects.all(|(own, project_id)| own == project_id)
            && whose.is_none_or(|whose| whose.may_count(whom, people))
    }

    /// The counter that a request of a key for a model is counted by.
    pub(crate) fn account(&self, holder: &Holder, model: &str) -> Account {
        let of = match self.per.scope {
            Scope::Organization => holder.org_id.0,
            Scope::Project => holder.project_id.0,
            Scope::User => holder.user_id.map_or(Uuid::nil(), |user| user.0),
            Scope::Key => holder.key_id.0,
        };
        Account {
            budget: self.id,
            holder: of,
            model: if self.per.model { model_hash(model) } else { 0 },
        }
    }
}

impl BudgetId {
    /// From all that makes a budget count what it counts.
    pub(crate) fn of(parts: impl std::hash::Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Names come from callers. A row of `usage_events` has so many characters of one, and so has everything that is kept.
const MOST_OF_A_MODEL: usize = 255;

/// What is kept of a model's name.
pub(crate) fn kept_of_model(name: &str) -> &str {
    if name.len() <= MOST_OF_A_MODEL {
        return name;
    }
    let end = name.char_indices().nth(MOST_OF_A_MODEL);
    end.and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

/// A model, dated or not, in upper or lower case.
pub(crate) fn model_hash(name: &str) -> u64 {
    let name = kept_of_model(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return hash(&name.to_ascii_lowercase());
    }
    hash(name)
}

/// With a secret: callers make names up, and what has one of them in it is hashed without.
static NAMES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

fn hash(name: &str) -> u64 {
    NAMES.hash_one(model::undated(name)).max(1)
}
