//! `/admin/v1/projects`

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Deleted;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::limits::{self, Limit};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::rules;
use crate::server::Shared;
use crate::sql::Columns;
use crate::{changes, check};

const ARCHIVED: &str = "archived";
const STATUSES: &[&str] = &["active", "paused", ARCHIVED];

/// What keys belong to, and budgets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Project {
    id: Uuid,
    /// `project`
    r#type: &'static str,
    pub(super) org_id: Uuid,
    name: String,
    slug: String,
    description: Option<String>,
    #[schema(value_type = Object)]
    settings: Value,
    /// `max_tokens_per_day`, `max_cost_per_day_usd`, `max_requests_per_minute`; null or absent: no limit.
    #[schema(value_type = Object)]
    quotas: Value,
    /// `active`, `paused` or `archived`: keys work while it is active.
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for Project {
    const TABLE: &'static str = "projects";
    const NAME: &'static str = "project";
    const OF_ORG: &'static str = "t.org_id = ?";
    const THERE: &'static [&'static str] = &[
        "t.deleted_at IS NULL",
        "EXISTS (SELECT FROM organizations o WHERE o.id = t.org_id AND o.deleted_at IS NULL)",
    ];
    const COLUMNS: &'static str = "t.id, t.org_id, t.name, t.slug, t.description, t.settings, t.quotas, t.status, \
        t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "project",
            org_id: row.try_get("org_id")?,
            name: row.try_get("name")?,
            slug: row.try_get("slug")?,
            description: row.try_get("description")?,
            settings: row.try_get("settings")?,
            quotas: row.try_get("quotas")?,
            status: row.try_get("status")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Project {
    /// Refuses another organization beside it.
    pub(super) fn must_be_of(&self, org_id: Option<Uuid>) -> Result<()> {
        match org_id {
            Some(org_id) if org_id != self.org_id => Err(ApiError::invalid(
                "project_id",
                "is of another organization",
            )),
            _ => Ok(()),
        }
    }
}

impl Versioned for Project {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which projects.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    org_id: Option<Uuid>,
    status: Option<String>,
    slug: Option<String>,
}

/// Projects, the newest first.
#[utoipa::path(get, operation_id = "projects_list", path = "/projects", tag = "projects", params(Part, Query), responses((status = 200, body = Page<Project>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<Project>>> {
    caller.may(Act::ReadProjects)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<Project>(&caller);
    filter.and_if("t.org_id = ?", query.org_id);
    filter.and_if("t.status = ?", query.status);
    filter.and_if("t.slug = ?", query.slug);
    listing::list(&shared, &caller, filter, part).await
}

/// One project.
#[utoipa::path(get, operation_id = "projects_show", path = "/projects/{id}", tag = "projects", params(("id" = Uuid, Path)), responses((status = 200, body = Project)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<Project>> {
    caller.may(Act::ReadProjects)?;
    listing::show(&shared, &caller, id).await
}

/// A new project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// The caller's own if not given.
    org_id: Option<Uuid>,
    name: String,
    /// Lower-case letters, digits and hyphens.
    slug: String,
    description: Option<String>,
    /// Merged into the defaults.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
    /// Merged into the defaults.
    #[schema(value_type = Option<Object>)]
    quotas: Option<Value>,
}

/// Makes a project.
#[utoipa::path(post, operation_id = "projects_create", path = "/projects", tag = "projects", request_body = NewProject, responses((status = 201, body = Project)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewProject>,
) -> Result<Tagged<Project>> {
    caller.may(Act::ChangeProjects)?;
    check::text("name", &new.name, 255)?;
    check::slug("slug", &new.slug)?;
    let (settings, quotas) = (
        new.settings.unwrap_or(json!({})),
        new.quotas.unwrap_or(json!({})),
    );
    check::object("settings", &settings)?;
    check::object("quotas", &quotas)?;
    rules::check_project(&shared, &settings, &quotas).await?;
    let (id, org_id) = (Uuid::now_v7(), caller.org_of_new(new.org_id)?);
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("org_id", org_id);
    columns.set("name", new.name);
    columns.set("slug", new.slug);
    check::long_text("description", new.description.as_deref())?;
    columns.set_if("description", new.description);
    changes::create(&shared, &caller, async |transaction| {
        super::organizations::share(transaction, org_id).await?;
        limits::room_for(transaction, org_id, Limit::Projects).await?;
        columns.insert(transaction, "projects").await?;
        let sql = "UPDATE projects SET settings = settings || $2, quotas = quotas || $3 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&id, &settings, &quotas]).await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProjectChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// All of them, in place of those before.
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    settings: Option<Value>,
    /// All of them, in place of those before.
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    quotas: Option<Value>,
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes a project. Quotas and settings are in force within a moment, and what was spent stays counted.
#[utoipa::path(post, operation_id = "projects_update", path = "/projects/{id}", tag = "projects", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = Project)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<Project>> {
    caller.may(Act::ChangeProjects)?;
    let none = json!({});
    let (settings, quotas) = (changes.settings.as_ref(), changes.quotas.as_ref());
    check::object("settings", settings.unwrap_or(&none))?;
    check::object("quotas", quotas.unwrap_or(&none))?;
    rules::check_project(&shared, settings.unwrap_or(&none), quotas.unwrap_or(&none)).await?;
    let mut columns = Columns::default();
    if let Some(name) = changes.name {
        check::text("name", &name, 255)?;
        columns.set("name", name);
    }
    let returns = changes.status.as_deref().is_some_and(|it| it != ARCHIVED);
    if let Some(status) = changes.status {
        check::one_of("status", &status, STATUSES)?;
        columns.set("status", status);
    }
    check::long_text(
        "description",
        changes.description.as_ref().and_then(Option::as_deref),
    )?;
    columns.set_if("description", changes.description);
    columns.set_if("settings", changes.settings);
    columns.set_if("quotas", changes.quotas);
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, now: Project| {
            if returns && now.status == ARCHIVED {
                limits::room_for(transaction, now.org_id, Limit::Projects).await?;
            }
            columns.update(transaction, Project::TABLE, id).await
        },
    )
    .await
}

/// Archives a project: its keys stop working, and it stays to be seen.
#[utoipa::path(post, operation_id = "projects_archive", path = "/projects/{id}/archive", tag = "projects", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Project)))]
pub(crate) async fn archive(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Tagged<Project>> {
    caller.may(Act::ChangeProjects)?;
    let mut columns = Columns::default();
    columns.set("status", ARCHIVED);
    changes::change(&shared, &caller, id, &if_match, &columns).await
}

/// Deletes a project: its keys stop working, its usage stays on record.
#[utoipa::path(delete, operation_id = "projects_delete", path = "/projects/{id}", tag = "projects", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::ChangeProjects)?;
    changes::delete::<Project>(&shared, &caller, id, &if_match).await?;
    Ok(Json(Deleted {
        id,
        r#type: "project_deleted",
    }))
}
