//! What may happen to PostgreSQL: killed, cut off in the middle of a transaction, failed over to a standby that lags,
//! restored from an old backup.
//!
//! Holds: callers notice nothing; every answered request is a row, once. Where a database that went back in time needs
//! events that are not on disk any more, the gap is reported to the event.

mod crashes;
mod cuts;
mod failover;
mod gap;
mod restore;

use testkit::gateway::Builder;

use crate::plan::Plan;
use crate::report::Report;

/// Small batches, often: whatever happens meets transactions.
fn busy(builder: Builder) -> Builder {
    builder
        .env("MINDWEAVE_INGEST_BATCH_INTERVAL", "5ms")
        .env("MINDWEAVE_INGEST_BATCH_ROWS", "200")
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    crashes::run(plan, &mut report).await;
    cuts::run(plan, &mut report).await;
    failover::run(plan, &mut report).await;
    restore::run(plan, &mut report).await;
    gap::run(plan, &mut report).await;
    report
}
