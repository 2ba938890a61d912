//! `/admin/v1/policies`

pub(crate) mod dry_run;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Deleted;
use super::api_keys::check_creator;
use super::projects::Project;
use crate::body::{Body, given, some};
use crate::caller::Caller;
use crate::error::Result;
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::{Id, Paged};
use crate::role::Act;
use crate::rules::{self, PolicyWords};
use crate::server::Shared;
use crate::sql::Columns;
use crate::{changes, check};

const TYPES: &[&str] = &["usage", "access", "compliance", "custom"];
const STATUSES: &[&str] = &["active", "disabled", "draft"];

/// A rule about requests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Policy {
    id: Uuid,
    /// `usage`, `access`, `compliance` or `custom`: what the column `type` holds.
    policy_type: String,
    /// `policy`
    r#type: &'static str,
    /// Whose it is, or null where it is a project's alone.
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    created_by: Uuid,
    name: String,
    description: Option<String>,
    #[schema(value_type = Object)]
    rules: Value,
    #[schema(value_type = Object)]
    applies_to: Value,
    /// The highest is evaluated first.
    priority: i32,
    /// `active`, `disabled` or `draft`
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Listed for Policy {
    const TABLE: &'static str = "policies";
    const NAME: &'static str = "policy";
    const OF_ORG: &'static str = "(t.org_id IS NULL OR t.org_id = ?) AND (t.project_id IS NULL \
        OR EXISTS (SELECT FROM projects p WHERE p.id = t.project_id AND p.org_id = ?))";
    const THERE: &'static [&'static str] = &[
        "t.deleted_at IS NULL",
        "(t.org_id IS NULL OR EXISTS (SELECT FROM organizations o WHERE o.id = t.org_id AND o.deleted_at IS NULL))",
        "(t.project_id IS NULL OR EXISTS (SELECT FROM projects p JOIN organizations o ON o.id = p.org_id \
            WHERE p.id = t.project_id AND p.deleted_at IS NULL AND o.deleted_at IS NULL))",
    ];
    const COLUMNS: &'static str = "t.id, t.type, t.org_id, t.project_id, t.created_by, t.name, t.description, t.rules, \
        t.applies_to, t.priority, t.status, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            policy_type: row.try_get("type")?,
            r#type: "policy",
            org_id: row.try_get("org_id")?,
            project_id: row.try_get("project_id")?,
            created_by: row.try_get("created_by")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            rules: row.try_get("rules")?,
            applies_to: row.try_get("applies_to")?,
            priority: row.try_get("priority")?,
            status: row.try_get("status")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for Policy {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Which policies.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    policy_type: Option<String>,
    status: Option<String>,
}

/// Policies, the newest first.
#[utoipa::path(get, operation_id = "policies_list", path = "/policies", tag = "policies", params(Part, Query), responses((status = 200, body = Page<Policy>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<Policy>>> {
    caller.may(Act::ReadPolicies)?;
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    if let Some(kind) = &query.policy_type {
        check::one_of("policy_type", kind, TYPES)?;
    }
    let mut filter = Filter::visible::<Policy>(&caller);
    filter.and_if("t.org_id = ?", query.org_id);
    filter.and_if("t.project_id = ?", query.project_id);
    filter.and_if("t.type = ?", query.policy_type);
    filter.and_if("t.status = ?", query.status);
    listing::list(&shared, &caller, filter, part).await
}

/// One policy.
#[utoipa::path(get, operation_id = "policies_show", path = "/policies/{id}", tag = "policies", params(("id" = Uuid, Path)), responses((status = 200, body = Policy)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Tagged<Policy>> {
    caller.may(Act::ReadPolicies)?;
    listing::show(&shared, &caller, id).await
}

/// A new policy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicy {
    /// Of the whole organization. The caller's own, if neither this nor a project is given.
    org_id: Option<Uuid>,
    /// Of this project.
    project_id: Option<Uuid>,
    name: String,
    description: Option<String>,
    /// `usage`, `access`, `compliance` or `custom`
    policy_type: String,
    #[schema(value_type = Object)]
    rules: Value,
    #[schema(value_type = Option<Object>)]
    applies_to: Option<Value>,
    /// 100 if not given; the highest is evaluated first.
    priority: Option<i32>,
    /// `active` if not given, `disabled` or `draft`
    status: Option<String>,
    /// The caller if not given.
    created_by: Option<Uuid>,
}

/// Makes a policy. It is compiled as it will be in force: what can't be understood is refused, with every fault.
#[utoipa::path(post, operation_id = "policies_create", path = "/policies", tag = "policies", request_body = NewPolicy, responses((status = 201, body = Policy)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewPolicy>,
) -> Result<Tagged<Policy>> {
    caller.may(Act::ChangePolicies)?;
    check::text("name", &new.name, 255)?;
    check::one_of("policy_type", &new.policy_type, TYPES)?;
    let status = new.status.as_deref().unwrap_or("active");
    check::one_of("status", status, STATUSES)?;
    let org_id = match (new.org_id, new.project_id) {
        (None, Some(_)) => None,
        (given, _) => Some(caller.org_of_new(given)?),
    };
    check::json("rules", &new.rules)?;
    check::json(
        "applies_to",
        new.applies_to.as_ref().unwrap_or(&Value::Null),
    )?;
    let words = PolicyWords {
        kind: new.policy_type.clone(),
        rules: new.rules.clone(),
        applies_to: new.applies_to.clone().unwrap_or_else(|| json!({})),
        is_projects: new.project_id.is_some(),
    };
    rules::refuse(&rules::policy_faults(&shared, words).await)?;
    let (id, created_by) = (
        Uuid::now_v7(),
        caller.creator("created_by", new.created_by)?,
    );
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set_if("org_id", org_id);
    columns.set_if("project_id", new.project_id);
    columns.set("created_by", created_by);
    columns.set("name", new.name);
    check::long_text("description", new.description.as_deref())?;
    columns.set_if("description", new.description);
    columns.set("type", new.policy_type);
    columns.set("rules", new.rules);
    columns.set_if("applies_to", new.applies_to);
    columns.set_if("priority", new.priority);
    columns.set("status", status.to_owned());
    changes::create(&shared, &caller, async |transaction| {
        if let Some(project_id) = new.project_id {
            let project = listing::lock::<Project>(transaction, &caller, project_id).await?;
            project.must_be_of(org_id)?;
        }
        if let Some(org_id) = org_id {
            super::organizations::share(transaction, org_id).await?;
        }
        check_creator(transaction, &caller, created_by).await?;
        columns.insert(transaction, "policies").await?;
        listing::find(transaction, &caller, id).await
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PolicyChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    rules: Option<Value>,
    #[schema(value_type = Option<Object>)]
    #[serde(default, deserialize_with = "some")]
    applies_to: Option<Value>,
    #[serde(default, deserialize_with = "some")]
    priority: Option<i32>,
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes a policy. What it will be is compiled first, as if it were new.
#[utoipa::path(post, operation_id = "policies_update", path = "/policies/{id}", tag = "policies", params(IfMatch, ("id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = Policy)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<Policy>> {
    caller.may(Act::ChangePolicies)?;
    if let Some(name) = &changes.name {
        check::text("name", name, 255)?;
    }
    if let Some(status) = &changes.status {
        check::one_of("status", status, STATUSES)?;
    }
    check::json("rules", changes.rules.as_ref().unwrap_or(&Value::Null))?;
    check::json(
        "applies_to",
        changes.applies_to.as_ref().unwrap_or(&Value::Null),
    )?;
    changes::change_by(
        &shared,
        &caller,
        id,
        &if_match,
        async |transaction, found: Policy| {
            let words = PolicyWords {
                kind: found.policy_type,
                rules: changes.rules.clone().unwrap_or(found.rules),
                applies_to: changes.applies_to.clone().unwrap_or(found.applies_to),
                is_projects: found.project_id.is_some(),
            };
            rules::refuse(&rules::policy_faults(&shared, words).await)?;
            let mut columns = Columns::default();
            columns.set_if("name", changes.name);
            check::long_text(
                "description",
                changes.description.as_ref().and_then(Option::as_deref),
            )?;
            columns.set_if("description", changes.description);
            columns.set_if("rules", changes.rules);
            columns.set_if("applies_to", changes.applies_to);
            columns.set_if("priority", changes.priority);
            columns.set_if("status", changes.status);
            columns.update(transaction, "policies", id).await?;
            Ok(())
        },
    )
    .await
}

/// Deletes a policy.
#[utoipa::path(delete, operation_id = "policies_delete", path = "/policies/{id}", tag = "policies", params(IfMatch, ("id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Id(id): Id,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    caller.may(Act::ChangePolicies)?;
    changes::delete::<Policy>(&shared, &caller, id, &if_match).await?;
    Ok(Json(Deleted {
        id,
        r#type: "policy_deleted",
    }))
}

/// A policy that isn't made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    /// `usage`, `access`, `compliance` or `custom`
    policy_type: String,
    #[schema(value_type = Object)]
    rules: Value,
    #[schema(value_type = Option<Object>)]
    applies_to: Option<Value>,
    /// Whether it would be a project's.
    #[serde(default)]
    of_project: bool,
}

/// What is wrong with a policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validation {
    /// `policy_validation`
    r#type: &'static str,
    valid: bool,
    faults: Vec<ShownFault>,
}

/// One fault.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownFault {
    /// A JSON path, such as `$.rules.max_tokens`.
    path: String,
    message: String,
}

/// Says what is wrong with a policy, all of it, and makes nothing.
#[utoipa::path(post, operation_id = "policies_validate", path = "/policies/validate", tag = "policies", request_body = Draft, responses((status = 200, body = Validation)))]
pub(crate) async fn validate(
    State(shared): State<Shared>,
    caller: Caller,
    Body(draft): Body<Draft>,
) -> Result<Json<Validation>> {
    caller.may(Act::ReadPolicies)?;
    check::one_of("policy_type", &draft.policy_type, TYPES)?;
    check::json("rules", &draft.rules)?;
    check::json(
        "applies_to",
        draft.applies_to.as_ref().unwrap_or(&Value::Null),
    )?;
    let words = PolicyWords {
        kind: draft.policy_type,
        rules: draft.rules,
        applies_to: draft.applies_to.unwrap_or_else(|| json!({})),
        is_projects: draft.of_project,
    };
    let faults = rules::policy_faults(&shared, words).await.into_iter();
    let faults: Vec<_> = faults
        .map(|fault| ShownFault {
            path: fault.path,
            message: fault.message,
        })
        .collect();
    Ok(Json(Validation {
        r#type: "policy_validation",
        valid: faults.is_empty(),
        faults,
    }))
}
