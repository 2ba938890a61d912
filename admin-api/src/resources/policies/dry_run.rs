//! `/admin/v1/policies/dry-run`: what a policy would do, before it does it.
//!
//! Guarantees: it is compiled, and requests are decided about, by what does so in the data plane; neither rules nor counters nor rows
//! change. It runs beside the runtime, a few at once, and no organization takes all places.

mod draft;
mod past;
mod request;
mod shown;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use uuid::Uuid;

use super::NewPolicy;
use crate::body::Body;
use crate::caller::Caller;
use crate::data_plane::InForce;
use crate::error::{ApiError, Result};
use crate::places::{Place, Places};
use crate::role::Act;
use crate::server::Shared;
use draft::Draft;

/// A policy, and what to try it on: a request, or requests that were made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DryRun {
    /// As for `POST /policies`, and taken to be active. With `policy_id`, in place of that one.
    policy: Option<NewPolicy>,
    /// One that there is, taken to be active.
    policy_id: Option<Uuid>,
    /// As if the one of `policy_id` were gone.
    #[serde(default)]
    remove: bool,
    request: Option<request::Request>,
    events: Option<past::Events>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Request(Box<request::OfRequest>),
    Events(Box<past::OfEvents>),
}

/// Says what a policy would do with a request, or would have done with those that were made, and changes nothing.
#[utoipa::path(post, operation_id = "policies_dry_run", path = "/policies/dry-run", tag = "policies", request_body = DryRun, responses((status = 200, body = Outcome)))]
pub(crate) async fn run(
    State(shared): State<Shared>,
    caller: Caller,
    Body(asked): Body<DryRun>,
) -> Result<Json<Outcome>> {
    caller.may(Act::TryPolicies)?;
    let in_force = InForce::of(&shared)?;
    let DryRun {
        policy,
        policy_id,
        remove,
        request,
        events,
    } = asked;
    let draft = Draft::read(policy, policy_id, remove)?;
    let outcome = match (request, events) {
        (Some(request), None) => {
            let done = request::run(&shared, &caller, in_force, draft, request).await?;
            Outcome::Request(Box::new(done))
        }
        (None, Some(events)) => {
            let done = past::run(&shared, &caller, in_force, draft, events).await?;
            Outcome::Events(Box::new(done))
        }
        (None, None) => return Err(ApiError::invalid("request", "is required, or events")),
        (Some(_), Some(_)) => {
            let message = "can't be given together with request";
            return Err(ApiError::invalid("events", message));
        }
    };
    Ok(Json(outcome))
}

/// A place to run in, until it is dropped.
fn place(places: &Places, org_id: Uuid) -> Result<Place> {
    let place = places.take(org_id);
    place.ok_or_else(|| ApiError::busy("dry_runs_busy", "too many dry runs are running; try again"))
}

/// Whose turn it is to compile, until it is dropped: others wait for theirs.
type Turn = OwnedSemaphorePermit;

/// Compiles and asks, beside the runtime, when it is its turn to compile.
async fn beside<T: Send + 'static>(
    shared: &Shared,
    place: Place,
    work: impl FnOnce(Turn) -> Option<T> + Send + 'static,
) -> Result<T> {
    let turn = Arc::clone(&shared.compiling).acquire_owned().await;
    let turn = turn.map_err(|_| ApiError::broken("whose turn it is to compile"))?;
    let running = tokio::task::spawn_blocking(move || {
        // Until the end of the work, whoever waits for it.
        let _place = place;
        work(turn)
    });
    let done = running.await.map_err(|_| ApiError::broken("a dry run"))?;
    done.ok_or_else(ApiError::not_in_force)
}
