//! `/admin/v1/budgets`: what is left of limits, as this gateway's data plane sees it.
//!
//! Read from memory, in one step for all of them: nothing is held or taken by it. Every gateway counts alone; the answer says whose
//! count it is.

mod shown;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::{ApiKeyId, OrgId, ProjectId, UserId};
use policy_engine::{LimitsOf, Whom};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller::Caller;
use crate::data_plane::InForce;
use crate::error::{ApiError, Result};
use crate::listing::{self, Filter};
use crate::params::Queried;
use crate::resources::api_keys::ApiKey;
use crate::resources::members::Member;
use crate::resources::organizations::Organization;
use crate::resources::projects::Project;
use crate::role::Act;
use crate::server::Shared;
use crate::transaction::Transaction;
use shown::Budget;

const MAX_LIMIT: u16 = 1_000;
/// So long one waits until others of the organization have read.
const PATIENCE: Duration = Duration::from_secs(2);
/// As long as any that is counted by.
const MOST_OF_A_MODEL: usize = 255;

/// Whose limits.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The caller's own organization, if nothing is given.
    org_id: Option<Uuid>,
    /// The limits of a project, and those of its organization.
    project_id: Option<Uuid>,
    /// The limits that count a user's keys.
    user_id: Option<Uuid>,
    /// The limits that count a key.
    api_key_id: Option<Uuid>,
    /// For limits that count each model apart.
    model: Option<String>,
    /// 1 to 1,000; 1,000 if not given.
    limit: Option<u16>,
}

/// What is left of limits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Budgets {
    /// In the order of projects, and of each in the order in which they are asked.
    data: Vec<Budget>,
    /// Whether there are more: say of which project, user or key.
    has_more: bool,
    org_id: Uuid,
    /// Which process counts.
    instance_id: Uuid,
    /// Whether what was spent before that process began is among it.
    settled: bool,
    /// When it was read.
    at: String,
}

/// What is left of the limits in force, as the data plane of this process sees it.
#[utoipa::path(get, operation_id = "budgets_list", path = "/budgets", tag = "budgets", params(Query), responses((status = 200, body = Budgets), (status = 404, description = "The filters name something that isn't there, or is somebody else's", body = crate::document::Error)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Queried(query): Queried<Query>,
) -> Result<Json<Budgets>> {
    caller.may(Act::ReadUsage)?;
    let most = query.limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&most) {
        let message = format!("must be 1 to {MAX_LIMIT}");
        return Err(ApiError::invalid("limit", message));
    }
    let length = query.model.as_ref().map_or(1, |it| it.chars().count());
    if !(1..=MOST_OF_A_MODEL).contains(&length) {
        let message = format!("must have 1 to {MOST_OF_A_MODEL} characters");
        return Err(ApiError::invalid("model", message));
    }
    let in_force = InForce::of(&shared)?;
    let (org_id, whom, test) = Transaction::read(&shared.pool, &caller, async |transaction| {
        query.find(transaction, &caller).await
    })
    .await?;
    let (now, model) = (shared.clock.now(), query.model);
    let (engine, model_asked) = (in_force.engine, model.clone());
    // Counters that aren't there yet are summed up first, which may take a while where there are many keys, and which requests
    // of the organization wait for: not more than one at a time, to its end, whoever waits for it.
    let place = shared.budgets.take_within(org_id, PATIENCE).await;
    let place = place.ok_or_else(|| {
        let message = "others of the organization are reading what is left of budgets; try again";
        ApiError::busy("budgets_busy", message)
    })?;
    let reading = tokio::task::spawn_blocking(move || {
        let _place = place;
        let of = LimitsOf {
            org_id: OrgId(org_id),
            whom,
            test,
            model: model_asked.as_deref(),
            most: usize::from(most),
        };
        engine.limits(&of, now)
    });
    let read = reading.await.map_err(|_| ApiError::broken("budgets"))?;
    let shown = read.limits.into_iter();
    Ok(Json(Budgets {
        data: shown
            .map(|limit| Budget::of(limit, model.as_deref()))
            .collect(),
        has_more: read.has_more,
        org_id,
        instance_id: in_force.instance_id,
        settled: in_force.data_plane.is_settled(),
        at: now.rfc3339(),
    }))
}

impl Query {
    /// Whose they are, of what the caller may see, and whether it is a key for tests; what is given has to fit together.
    async fn find(&self, transaction: &Transaction, caller: &Caller) -> Result<(Uuid, Whom, bool)> {
        let mut whom = Whom {
            project_id: self.project_id.map(ProjectId),
            user_id: self.user_id.map(UserId),
            key_id: self.api_key_id.map(ApiKeyId),
        };
        let mut test = false;
        if let Some(id) = self.api_key_id {
            let key: ApiKey = listing::find(transaction, caller, id).await?;
            let (project, user) = key.whose();
            test = key.is_test();
            must_be("project_id", self.project_id, project)?;
            must_be("user_id", self.user_id, user)?;
            whom.project_id = Some(ProjectId(project));
            whom.user_id = Some(UserId(user));
        }
        let org_id = match whom.project_id {
            Some(id) => {
                let project: Project = listing::find(transaction, caller, id.0).await?;
                must_be("org_id", self.org_id, project.org_id)?;
                project.org_id
            }
            None => {
                let id = caller.org_of_new(self.org_id)?;
                let _there: Organization = listing::find(transaction, caller, id).await?;
                id
            }
        };
        if let (Some(user), None) = (self.user_id, self.api_key_id) {
            let mut member = Filter::visible::<Member>(caller);
            member.and("t.org_id = ?", org_id);
            member.and("t.user_id = ?", user);
            let sql = format!("SELECT FROM org_members t WHERE {}", member.sql());
            let found = transaction.maybe(&sql, &member.values()).await?;
            found.ok_or_else(|| ApiError::not_found("member"))?;
        }
        Ok((org_id, whom, test))
    }
}

fn must_be(path: &'static str, given: Option<Uuid>, own: Uuid) -> Result<()> {
    if given.is_some_and(|given| given != own) {
        return Err(ApiError::invalid(
            path,
            "is another one than that of what else is given",
        ));
    }
    Ok(())
}
