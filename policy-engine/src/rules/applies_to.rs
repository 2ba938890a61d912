//! Whom a policy concerns.

use std::str::FromStr;

use domain::{ApiKeyId, ProjectId, UserId};
use rustc_hash::FxHashSet;
use serde_json::Value;
use uuid::Uuid;

use super::Faults;
use super::models::ModelSet;
use super::reader::{Item, Reader};
use crate::budget::{Holder, People, Whom, Whose};
use crate::facts::Role;

/// `policies.applies_to`. None is everybody; an empty set is nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppliesTo {
    users: Option<FxHashSet<UserId>>,
    roles: Option<Vec<Role>>,
    projects: Option<Projects>,
    api_keys: Option<FxHashSet<ApiKeyId>>,
    /// Only requests that name one of these.
    models: Option<ModelSet>,
}

#[derive(Debug, Clone, Default)]
struct Projects {
    ids: FxHashSet<ProjectId>,
    slugs: FxHashSet<Box<str>>,
}

impl AppliesTo {
    /// `null` is everybody.
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        if value.is_null() {
            return Self::default();
        }
        let mut reader = Reader::new(&Item::new("$.applies_to", value), faults);
        let users = reader.optional("users", |item, faults| some_of(item, faults, id));
        let roles = reader.optional("roles", |item, faults| some_of(item, faults, role));
        let projects = reader.optional("projects", |item, faults| some_of(item, faults, project));
        let api_keys = reader.optional("api_keys", |item, faults| some_of(item, faults, id));
        let models = reader.optional("models", ModelSet::read);
        reader.finish();
        Self {
            users: users.map(|ids| ids.into_iter().map(UserId).collect()),
            roles,
            projects: projects.map(Projects::of),
            api_keys: api_keys.map(|ids| ids.into_iter().map(ApiKeyId).collect()),
            models: models.filter(|models| !models.is_everything()),
        }
    }

    /// Whether every request is meant.
    pub(crate) fn is_everybody(&self) -> bool {
        let Self {
            users,
            roles,
            projects,
            api_keys,
            models,
        } = self;
        users.is_none()
            && roles.is_none()
            && projects.is_none()
            && api_keys.is_none()
            && models.is_none()
    }

    /// Whether a key is meant, whatever it asks for.
    pub(crate) fn concerns(&self, holder: &Holder, people: &People) -> bool {
        let user = |users: &FxHashSet<_>| holder.user_id.is_some_and(|id| users.contains(&id));
        let role = |roles: &Vec<Role>| {
            let role = people.role(holder.user_id);
            role.is_some_and(|role| roles.contains(&role))
        };
        let project = |projects: &Projects| {
            let slug = people.slug(holder.project_id);
            projects.ids.contains(&holder.project_id) || projects.slugs.contains(slug)
        };
        let key = |keys: &FxHashSet<_>| keys.contains(&holder.key_id);
        self.users.as_ref().is_none_or(user)
            && self.roles.as_ref().is_none_or(role)
            && self.projects.as_ref().is_none_or(project)
            && self.api_keys.as_ref().is_none_or(key)
    }

    /// Whether requests for a model are meant; a request without a model has the empty name.
    pub(crate) fn concerns_model(&self, model: &str) -> bool {
        let named = |models: &ModelSet| !model.is_empty() && models.covers(model);
        self.models.as_ref().is_none_or(named)
    }
}

impl Whose for AppliesTo {
    fn counts(&self, holder: &Holder, people: &People, model: &str) -> bool {
        self.concerns_model(model) && self.concerns(holder, people)
    }

    fn may_count(&self, whom: &Whom, people: &People) -> bool {
        let user = |id: UserId| {
            let role = people.role(Some(id));
            let has_role = |roles: &Vec<Role>| role.is_some_and(|role| roles.contains(&role));
            self.users.as_ref().is_none_or(|ids| ids.contains(&id))
                && self.roles.as_ref().is_none_or(has_role)
        };
        let project = |id: ProjectId| {
            let has = |projects: &Projects| {
                projects.ids.contains(&id) || projects.slugs.contains(people.slug(id))
            };
            self.projects.as_ref().is_none_or(has)
        };
        let key = |id: ApiKeyId| self.api_keys.as_ref().is_none_or(|ids| ids.contains(&id));
        // A key that is no user's is nobody's whom a policy names.
        let nobody = || self.users.is_none() && self.roles.is_none();
        let is_nobodys = whom.key_id.is_some() && whom.user_id.is_none();
        whom.user_id.is_none_or(user)
            && (!is_nobodys || nobody())
            && whom.project_id.is_none_or(project)
            && whom.key_id.is_none_or(key)
    }
}

impl Projects {
    fn of(entries: Vec<(Option<ProjectId>, Box<str>)>) -> Self {
        let (ids, slugs): (Vec<_>, FxHashSet<_>) = entries.into_iter().unzip();
        Self {
            ids: ids.into_iter().flatten().collect(),
            slugs,
        }
    }
}

/// The entries of a list; none if one of them is everybody.
fn some_of<'a, T>(
    item: &Item<'a>,
    faults: &mut Faults,
    read: impl Fn(&Item<'a>, &mut Faults) -> Option<T>,
) -> Option<Vec<T>> {
    let everybody = |value: &Value| matches!(value.as_str(), Some("all" | "*"));
    let entries = item.list(faults, |item, faults| {
        if everybody(item.value) {
            return Some(None);
        }
        read(item, faults).map(Some)
    })?;
    entries.into_iter().collect()
}

fn id(item: &Item<'_>, faults: &mut Faults) -> Option<Uuid> {
    match item.value.as_str().map(Uuid::parse_str) {
        Some(Ok(id)) => Some(id),
        _ => item.fault(faults, "must be an id, or all"),
    }
}

fn role(item: &Item<'_>, faults: &mut Faults) -> Option<Role> {
    match item.value.as_str().map(Role::from_str) {
        Some(Ok(role)) => Some(role),
        _ => item.fault(faults, "must be owner, admin, member, viewer or all"),
    }
}

/// What reads as an id may be a slug all the same.
fn project(item: &Item<'_>, faults: &mut Faults) -> Option<(Option<ProjectId>, Box<str>)> {
    let entry = item.text(faults)?;
    Some((Uuid::parse_str(entry).ok().map(ProjectId), entry.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{faults_of, holder, people};
    use super::*;

    const NOBODY_ELSE: &str = "00000000-0000-0000-0000-0000000000ff";

    #[test]
    fn every_field_has_to_fit_and_one_entry_of_it() {
        let holder = holder();
        let (user, key, project) = (holder.user_id.unwrap(), holder.key_id, holder.project_id);
        for (applies_to, expected) in [
            (json!(null), true),
            (json!({}), true),
            (json!({"users": null}), true),
            (json!({"users": ["all"]}), true),
            (json!({"users": [NOBODY_ELSE, "*"]}), true),
            (json!({"users": [NOBODY_ELSE, user]}), true),
            (json!({"users": [NOBODY_ELSE]}), false),
            (json!({"users": []}), false),
            (json!({"roles": ["viewer", "member"]}), true),
            (json!({"roles": ["owner"]}), false),
            (json!({"projects": ["website"]}), true),
            (json!({"projects": [project]}), true),
            (json!({"projects": ["shop"]}), false),
            (json!({"api_keys": [key]}), true),
            (json!({"api_keys": [NOBODY_ELSE]}), false),
            (json!({"users": [user], "roles": ["owner"]}), false),
            (
                json!({"users": [user], "roles": ["member"], "projects": ["website"]}),
                true,
            ),
        ] {
            let applies = AppliesTo::parse(&applies_to, &mut Faults::new());
            let concerns = applies.concerns(&holder, &people());
            assert_eq!(concerns, expected, "{applies_to}");
        }
    }

    #[test]
    fn who_is_no_member_has_no_role_and_a_key_of_nobody_no_user() {
        let nobody = Holder {
            user_id: None,
            ..holder()
        };
        let stranger = Holder {
            user_id: Some(UserId(Uuid::nil())),
            ..holder()
        };
        for (applies_to, expected) in [
            (json!({}), true),
            (json!({"roles": ["all"]}), true),
            (json!({"roles": ["viewer"]}), false),
            (json!({"users": [NOBODY_ELSE]}), false),
        ] {
            let applies = AppliesTo::parse(&applies_to, &mut Faults::new());
            for holder in [&nobody, &stranger] {
                assert_eq!(
                    applies.concerns(holder, &people()),
                    expected,
                    "{applies_to}"
                );
            }
        }
    }

    #[test]
    fn a_policy_with_models_is_about_requests_that_name_one() {
        for (models, model, expected) in [
            (json!(null), "", true),
            (json!(["all"]), "", true),
            (json!(["opus"]), "claude-opus-4", true),
            (json!(["opus"]), "claude-haiku-4", false),
            (json!(["opus"]), "", false),
            (json!([]), "claude-opus-4", false),
        ] {
            let applies = AppliesTo::parse(&json!({"models": models}), &mut Faults::new());
            assert_eq!(applies.concerns_model(model), expected, "{models} {model}");
        }
    }

    #[test]
    fn every_fault_is_named() {
        let value = json!({"users": ["me"], "roles": ["developer", "all"], "projects": [1], "api_keys": "all",
            "models": ["{"], "keys": []});
        assert_eq!(
            faults_of(|faults| AppliesTo::parse(&value, faults)),
            [
                "$.applies_to.users[0]: must be an id, or all",
                "$.applies_to.roles[0]: must be owner, admin, member, viewer or all",
                "$.applies_to.projects[0]: must be a string that isn't empty",
                "$.applies_to.api_keys: must be a list",
                "$.applies_to.models[0]: is no glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
                "$.applies_to.keys: is unknown; there are users, roles, projects, api_keys, models",
            ]
        );
        let everybody = faults_of(|faults| AppliesTo::parse(&json!([]), faults));
        assert_eq!(everybody, ["$.applies_to: must be an object"]);
    }
}
