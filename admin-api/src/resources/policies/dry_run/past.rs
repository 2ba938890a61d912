//! A dry run over requests that were made: what is stored of them is decided about again, as the policies are and as they would be.
//!
//! Bounded: so many rows, read in one query; so long; and a few at once, beside the runtime.

mod rows;
mod tally;

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{OrgId, PolicyId, Timestamp};
use policy_engine::{Past, Replay, Untold};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::{Draft, Tried};
use super::{beside, place, shown};
use crate::caller::Caller;
use crate::check;
use crate::data_plane::InForce;
use crate::error::{ApiError, Result};
use crate::server::Shared;
use crate::transaction::Transaction;
use rows::Stored;
use tally::Tally;

const MOST: u32 = 10_000;
/// What isn't decided by then isn't.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often it is looked at the clock.
const BETWEEN_LOOKS: usize = 64;

/// Which requests: the last ones, of those that are stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Events {
    /// At most so many: 1 to 10,000; 1,000 if not given.
    last: Option<u32>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    project_id: Option<Uuid>,
}

/// What would have been decided about them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfEvents {
    /// `policy_dry_run`
    r#type: &'static str,
    /// Whose rules were looked at.
    instance_id: Uuid,
    /// How many were decided about.
    evaluated: u64,
    /// Whether there are older ones that were asked for.
    has_more: bool,
    /// Whether all that were read were decided about in time.
    complete: bool,
    /// When the first and the last of them were made. Counters begin at nothing then.
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
    now: Tally,
    with_policy: Tally,
    /// Rules, of that policy and of those in force, about what isn't stored of a request. They refused none of these.
    not_evaluated: Vec<NotEvaluated>,
}

/// A rule that nothing can be said about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotEvaluated {
    policy_id: Option<Uuid>,
    policy: Option<String>,
    /// Which of its rules; `mcp_servers` is the registry of MCP servers.
    path: String,
}

impl NotEvaluated {
    fn of(untold: &Untold, nameless: Option<PolicyId>) -> Self {
        let (policy_id, policy) = shown::named(untold.policy.clone(), nameless);
        Self {
            policy_id,
            policy,
            path: untold.path.clone(),
        }
    }
}

pub(super) async fn run(
    shared: &Shared,
    caller: &Caller,
    in_force: InForce,
    draft: Draft,
    events: Events,
) -> Result<OfEvents> {
    events.check()?;
    let project = events.project_id;
    let found = Transaction::within(&shared.pool, caller, async |transaction| {
        let found = draft.find(transaction, caller).await?;
        if let Some(id) = project {
            rows::check_project(transaction, caller, id, found.org_id).await?;
        }
        Ok(found)
    })
    .await?;
    let place = place(&shared.replays, found.org_id)?;
    let tried = found.compile(shared).await?;
    let (stored, has_more) = rows::read(shared, caller, tried.org_id, &events).await?;
    let clock = std::sync::Arc::clone(&shared.clock);
    beside(shared, place, move |turn| {
        let projects = stored.iter().map(|it| it.caller.project_id).collect();
        let org_id = OrgId(tried.org_id);
        let of = |change| Replay::new(&in_force.engine, org_id, &projects, change);
        let both = (of(None)?, of(Some(&tried.change))?);
        drop(turn);
        let until = clock.monotonic() + PATIENCE;
        let is_late = || clock.monotonic() >= until;
        let mut done = replay(&in_force, &tried, both, &stored, is_late);
        done.has_more = has_more;
        Some(done)
    })
    .await
}

fn replay(
    in_force: &InForce,
    tried: &Tried,
    (mut now, mut then): (Replay, Replay),
    stored: &[Stored],
    is_late: impl Fn() -> bool,
) -> OfEvents {
    let prices = in_force.prices.load_full();
    let (mut of_now, mut of_then) = (Tally::default(), Tally::default());
    let mut done = 0_usize;
    for portion in stored.chunks(BETWEEN_LOOKS) {
        if is_late() {
            break;
        }
        for event in portion {
            let past: Past<'_> = event.past();
            of_now.add(event.request_id, now.next(&past, &prices), None);
            of_then.add(event.request_id, then.next(&past, &prices), tried.nameless);
        }
        done += portion.len();
    }
    let mut untold: Vec<&Untold> = then.untold().iter().collect();
    untold.extend(now.untold().iter().filter(|it| !then.untold().contains(it)));
    let decided = stored.get(..done).unwrap_or_default();
    let of = |untold: &&Untold| NotEvaluated::of(untold, tried.nameless);
    OfEvents {
        r#type: "policy_dry_run",
        instance_id: in_force.instance_id,
        evaluated: decided.len() as u64,
        has_more: false,
        complete: decided.len() == stored.len(),
        first_at: decided.first().and_then(|it| moment(it.at)),
        last_at: decided.last().and_then(|it| moment(it.at)),
        now: of_now,
        with_policy: of_then,
        not_evaluated: untold.iter().map(of).collect(),
    }
}

impl Events {
    fn check(&self) -> Result<()> {
        if !(1..=MOST).contains(&self.last()) {
            let message = format!("must be 1 to {MOST}");
            return Err(ApiError::invalid("events.last", message));
        }
        check::moment("events.since", self.since)?;
        check::moment("events.until", self.until)?;
        match (self.since, self.until) {
            (Some(since), Some(until)) if until <= since => {
                Err(ApiError::invalid("events.until", "must be after since"))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    fn last(&self) -> u32 {
        self.last
            .unwrap_or(if self.since.is_some() { MOST } else { 1_000 })
    }
}

fn moment(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(at.unix_micros)
}
