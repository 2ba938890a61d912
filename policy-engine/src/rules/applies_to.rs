//! Whom a policy concerns.

use domain::{ApiKeyId, ProjectId, UserId};
use serde_json::Value;
use uuid::Uuid;

use super::models::ModelSet;
use super::reader::{Faults, Reader, text};
use crate::budget::{Holder, People, Whose};
use crate::facts::Role;

/// `applies_to`, each list absent if it is about everybody.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppliesTo {
    users: Option<Vec<UserId>>,
    roles: Option<Vec<Role>>,
    projects: Option<Vec<Project>>,
    api_keys: Option<Vec<ApiKeyId>>,
    models: Option<ModelSet>,
}

#[derive(Debug, Clone)]
enum Project {
    Id(ProjectId),
    Slug(String),
}

impl AppliesTo {
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.applies_to", value, faults);
        let parsed = Self {
            users: narrow(reader.list("users", |value| id(value, UserId))),
            roles: narrow(reader.list("roles", |value| {
                or_all(value, |text| {
                    text.parse()
                        .map_err(|error: crate::facts::UnknownRole| error.to_string())
                })
            })),
            projects: narrow(
                reader.list("projects", |value| or_all(value, |text| Ok(project(text)))),
            ),
            api_keys: narrow(reader.list("api_keys", |value| id(value, ApiKeyId))),
            models: ModelSet::read(&mut reader, "models")
                .filter(|set| !matches!(set, ModelSet::All)),
        };
        reader.finish();
        parsed
    }

    /// Whether a caller is among those it is about; models aside.
    pub(crate) fn concerns(&self, holder: &Holder, people: &People) -> bool {
        let Holder {
            project_id,
            user_id,
            key_id,
            ..
        } = holder;
        within(self.users.as_ref(), |user| Some(*user) == *user_id)
            && within(self.roles.as_ref(), |role| {
                Some(*role) == people.role(*user_id)
            })
            && within(self.api_keys.as_ref(), |key| key == key_id)
            && within(self.projects.as_ref(), |project| match project {
                Project::Id(id) => id == project_id,
                Project::Slug(slug) => slug == people.slug(*project_id),
            })
    }

    /// Whether it is about requests for a model; the empty name is none.
    pub(crate) fn covers(&self, model: &str) -> bool {
        self.models
            .as_ref()
            .is_none_or(|models| !model.is_empty() && models.covers(model))
    }
}

impl Whose for AppliesTo {
    fn counts(&self, holder: &Holder, people: &People, model: &str) -> bool {
        self.covers(model) && self.concerns(holder, people)
    }
}

fn within<T>(list: Option<&Vec<T>>, is_it: impl Fn(&T) -> bool) -> bool {
    list.is_none_or(|list| list.iter().any(is_it))
}

/// A list with `all` in it is none.
fn narrow<T>(list: Option<Vec<Option<T>>>) -> Option<Vec<T>> {
    list?.into_iter().collect()
}

fn or_all<T>(
    value: &Value,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match text(value)? {
        "all" | "*" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn id<T>(value: &Value, wrap: impl FnOnce(Uuid) -> T) -> Result<Option<T>, String> {
    or_all(value, |text| {
        let id = text.parse().map_err(|_| "must be an id (a UUID), or all");
        Ok(wrap(id?))
    })
}

fn project(text: &str) -> Project {
    match text.parse() {
        Ok(id) => Project::Id(ProjectId(id)),
        Err(_) => Project::Slug(text.to_owned()),
    }
}
