//! Events in the order of time, page by page.
//!
//! A page begins behind a row: their times and ids are unique together. It is looked for in a window of time that is made to hold
//! some pages: so a page costs what is in the window, with or without an index that fits, and not what is in all of the span. A
//! window that costs too much, because a filter leaves little of what is in it, is tried again narrower.

mod window;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::Clock;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Query;
use super::columns;
use crate::caller::Caller;
use crate::database::Pool;
use crate::error::Result;
use crate::kept;
use crate::listing::Filter;
use crate::resources::usage::{Source, Width};
use crate::server::Shared;
use crate::transaction::Transaction;
use window::Window;

/// Rows of a page; of some 500 bytes each.
const PAGE: usize = 1_000;

/// How far it has come.
pub(super) struct Reading {
    pool: Pool,
    clock: Arc<dyn Clock>,
    caller: Caller,
    query: Query,
    /// All before it was read.
    from: DateTime<Utc>,
    /// Of those of that very moment, all up to it.
    behind: Option<Uuid>,
    until: DateTime<Utc>,
    window: Window,
}

impl Reading {
    /// Refuses what was dropped in part.
    pub(super) async fn begin(
        shared: &Shared,
        caller: Caller,
        query: Query,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Self> {
        Transaction::read_unguarded(&shared.pool, &caller, async |transaction| {
            let source = Source::UsageEvents;
            kept::check(transaction, source, ("since", from), Width::Minute).await
        })
        .await?;
        Ok(Self {
            pool: shared.pool.clone(),
            clock: Arc::clone(&shared.clock),
            caller,
            query,
            from,
            behind: None,
            until,
            window: Window::default(),
        })
    }

    /// The next rows; none, when it has come to the end.
    pub(super) async fn page(&mut self) -> Result<Vec<Row>> {
        while self.from < self.until {
            let end = (self.from + self.window.width()).min(self.until);
            let began = self.clock.monotonic();
            let rows = match self.rows(end).await {
                Err(error) if error.is_slow() && self.window.narrow() => continue,
                read => read?,
            };
            match rows.last() {
                Some(last) if rows.len() == PAGE => {
                    let time: DateTime<Utc> = last.try_get("moment")?;
                    self.window.was_filled(time - self.from);
                    self.from = time;
                    self.behind = Some(last.try_get("id")?);
                }
                _ => {
                    self.from = end;
                    self.behind = None;
                    let took = self.clock.monotonic().saturating_sub(began);
                    self.window.was_passed(took);
                }
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    async fn rows(&self, end: DateTime<Utc>) -> Result<Vec<Row>> {
        let mut filter = Filter::default();
        filter.and("t.time >= ?", self.from);
        filter.and("t.time < ?", end);
        filter.and_if("(t.time, t.request_id) > ($1, ?)", self.behind);
        filter.and_if("t.org_id = ?", self.caller.org_id);
        filter.and_if("t.org_id = ?", self.query.org_id);
        filter.and_if("t.project_id = ?", self.query.project_id);
        filter.and_if("t.user_id = ?", self.query.user_id);
        filter.and_if("t.api_key_id = ?", self.query.api_key_id);
        filter.and_if("t.model = ?", self.query.model.clone());
        let sql = format!(
            "SELECT t.time AS moment, t.request_id AS id, {} FROM usage_events t WHERE {}
            ORDER BY t.time, t.request_id LIMIT {PAGE}",
            columns::select(),
            filter.sql()
        );
        // The last page was some time ago. It refuses a caller whose key isn't good any more, or whose role is less than it was.
        Transaction::check(&self.pool, &self.caller).await?;
        Transaction::read_unguarded(&self.pool, &self.caller, async |transaction| {
            // Who takes it slowly may be overtaken by what is dropped.
            let since = ("since", self.from);
            kept::check(transaction, Source::UsageEvents, since, Width::Minute).await?;
            transaction.all(&sql, &filter.values()).await
        })
        .await
    }
}
