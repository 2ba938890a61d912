//! What is stored of requests, read in one query.
//!
//! Tenants have no right to this table: the organization is in the query. Requests that a rule refused then are left out: nobody
//! knows what they would have used.

use std::net::{IpAddr, Ipv4Addr};

use chrono::{DateTime, Utc};
use domain::{ApiKeyId, Endpoint, OrgId, ProjectId, Timestamp, UserId};
use policy_engine::{Amounts, Past};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Events;
use crate::caller::Caller;
use crate::error::Result;
use crate::kept;
use crate::listing::{self, Filter};
use crate::resources::projects::Project;
use crate::resources::usage::{Source, Width};
use crate::server::Shared;
use crate::transaction::Transaction;

/// One request that was made.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) request_id: Uuid,
    pub(super) at: Timestamp,
    pub(super) caller: policy_engine::Caller,
    endpoint: Endpoint,
    model: String,
    used: Amounts,
    is_late: bool,
}

/// The last ones, the oldest first, and whether there are more.
pub(super) async fn read(
    shared: &Shared,
    caller: &Caller,
    org_id: Uuid,
    events: &Events,
) -> Result<(Vec<Stored>, bool)> {
    let mut filter = Filter::default();
    filter.and("t.org_id = ?", org_id);
    filter.and_if("t.project_id = ?", events.project_id);
    filter.and_if("t.time >= ?", events.since);
    filter.and_if("t.time < ?", events.until);
    filter.and_is("NOT t.metadata ? 'refusals'");
    let sql = format!(
        "SELECT t.time, t.project_id, t.user_id, t.api_key_id, t.request_id, t.model, \
             t.input_tokens::bigint + t.cache_read_tokens + t.cache_write_tokens AS input_tokens, \
             t.output_tokens::bigint AS output_tokens, trunc(t.cost_cents * 10000000000)::text AS picodollars, \
             coalesce(t.metadata ->> 'endpoint', '') AS endpoint, t.metadata ? 'test' AS is_test, \
             t.metadata ?| ARRAY['batch_id', 'running_total'] AS is_late \
         FROM usage_events t WHERE {} ORDER BY t.time DESC, t.request_id DESC LIMIT {}",
        filter.sql(),
        u64::from(events.last()) + 1
    );
    let rows = Transaction::read_unguarded(&shared.pool, caller, async |transaction| {
        // Counters begin at nothing then: without what was dropped they would say that more passes.
        if let Some(since) = events.since {
            let since = ("events.since", since);
            kept::check(transaction, Source::UsageEvents, since, Width::Minute).await?;
        }
        transaction.all(&sql, &filter.values()).await
    });
    let rows = rows.await?;
    let most = usize::try_from(events.last()).unwrap_or(usize::MAX);
    let taken = rows.iter().take(most).rev();
    let stored = taken.map(|row| Stored::read(row, org_id));
    Ok((stored.collect::<Result<_>>()?, rows.len() > most))
}

/// Refuses a project that isn't of the organization whose policy it is.
pub(super) async fn check_project(
    transaction: &Transaction,
    caller: &Caller,
    id: Uuid,
    org_id: Uuid,
) -> Result<()> {
    let project: Project = listing::find(transaction, caller, id).await?;
    project.must_be_of(Some(org_id))
}

impl Stored {
    fn read(row: &Row, org_id: Uuid) -> Result<Self> {
        let count = |column: &str| -> Result<u64> {
            let count: i64 = row.try_get(column)?;
            Ok(u64::try_from(count).unwrap_or_default())
        };
        let time: DateTime<Utc> = row.try_get("time")?;
        let endpoint: &str = row.try_get("endpoint")?;
        let endpoint = Endpoint::ALL.into_iter().find(|it| it.label() == endpoint);
        let picodollars: &str = row.try_get("picodollars")?;
        let key_id: Option<Uuid> = row.try_get("api_key_id")?;
        Ok(Self {
            request_id: row.try_get("request_id")?,
            at: Timestamp {
                unix_micros: time.timestamp_micros(),
            },
            caller: policy_engine::Caller {
                key_id: ApiKeyId(key_id.unwrap_or_default()),
                user_id: row.try_get::<_, Option<Uuid>>("user_id")?.map(UserId),
                project_id: ProjectId(row.try_get("project_id")?),
                org_id: OrgId(org_id),
                test: row.try_get("is_test")?,
                // It isn't stored, and no rule that is asked looks at it.
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            },
            endpoint: endpoint.unwrap_or(Endpoint::Other),
            model: row.try_get("model")?,
            used: Amounts {
                input_tokens: count("input_tokens")?,
                output_tokens: count("output_tokens")?,
                requests: 1,
                cost: picodollars.parse().unwrap_or(u64::MAX),
            },
            is_late: row.try_get("is_late")?,
        })
    }

    pub(super) fn past(&self) -> Past<'_> {
        Past {
            at: self.at,
            caller: self.caller,
            endpoint: self.endpoint,
            model: &self.model,
            used: self.used,
            is_late: self.is_late,
        }
    }
}
