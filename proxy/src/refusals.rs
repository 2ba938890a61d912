//! Requests that rules refuse, on their way to be rows: those of one second, key and reason are one row.
//!
//! Guarantee: a flood of refusals makes one event a second for each key and reason, whichever threads they come to, and the
//! event says how many there were. What was refused in the last second before a kill isn't stored: nothing of it was billed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::{
    ApiKeyId, Cost, Endpoint, EventStatus, EventType, KeyKind, Outcome, Refused, RequestId,
    Timestamp, Usage, UsageEvent, UsageQuality,
};
use policy_engine::{Denial, Reason};

use crate::keys::KeyRecord;
use crate::worker::Worker;

const FOLD: Duration = Duration::from_secs(1);

/// Those of the running second, shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    open: DashMap<(ApiKeyId, Reason), u64>,
}

/// The first of its second: it stands for all.
pub(crate) struct First {
    pub(crate) request_id: RequestId,
    pub(crate) time: Timestamp,
    pub(crate) endpoint: Endpoint,
    pub(crate) model: String,
    pub(crate) key: Arc<KeyRecord>,
    pub(crate) denial: Denial,
    pub(crate) took: Duration,
}

impl Refusals {
    /// Counts one. The first of a second opens a row, which its own thread writes when the second is over.
    pub(crate) fn add(worker: &Rc<Worker>, first: First) {
        let place = (first.key.id, first.denial.reason);
        let mut count = worker.refusals.open.entry(place).or_insert(0);
        *count += 1;
        if *count > 1 {
            return;
        }
        drop(count);
        let own = Rc::clone(worker);
        let written = async move {
            tokio::time::sleep(FOLD).await;
            if let Some((_, count)) = own.refusals.open.remove(&place) {
                first.write(&own, count);
            }
        };
        worker.tasks.spawn_local(written);
    }
}

impl First {
    fn write(self, worker: &Worker, count: u64) {
        let Self {
            request_id,
            time,
            endpoint,
            model,
            key,
            denial,
            took,
        } = self;
        let Some(slot) = worker.lane.reserve() else {
            tracing::warn!(key_id = %key.id, count, "no room to store that requests were refused");
            return;
        };
        let reason = denial.reason;
        let status = if reason.is_limit() {
            EventStatus::RateLimited
        } else {
            EventStatus::Error
        };
        // Nobody waits for it.
        let _ticket = slot.submit(&UsageEvent {
            time,
            org_id: key.org_id,
            project_id: key.project_id,
            user_id: key.user_id,
            api_key_id: key.id,
            request_id,
            event_type: EventType::ApiCall,
            model,
            usage: Usage::default(),
            cost: Cost::default(),
            quality: UsageQuality::Exact,
            latency_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
            time_to_first_token_ms: None,
            outcome: Outcome::failure(status, reason.as_str(), Some(&denial.message)),
            endpoint,
            upstream_request_id: None,
            mcp_calls: Vec::new(),
            more_mcp_calls: 0,
            created: None,
            repeatable: None,
            refused: Some(Refused {
                count,
                policy_id: denial.policy.map(|(id, _)| id),
            }),
            test: key.kind == KeyKind::Test,
        });
    }
}
