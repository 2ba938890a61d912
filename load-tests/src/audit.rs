//! What callers were told and what the upstream saw, compared with the rows.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::callers::{Call, Outcome};
use crate::report::Report;
use crate::upstream::number_in;

/// What came of the comparison. Everything but the first three should be zero.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    pub(crate) answered: usize,
    pub(crate) rows: usize,
    /// Rows of requests that a killed gateway had left behind.
    pub(crate) interrupted: usize,
    /// Answered requests without a row.
    pub(crate) lost: usize,
    /// Requests that the upstream saw and that have no row.
    pub(crate) unaccounted: usize,
    /// Rows beyond the first of a request.
    pub(crate) doubled: usize,
    /// Answered requests whose row says something else.
    pub(crate) wrong: usize,
    /// Rows of nobody's request.
    pub(crate) strange: usize,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: HashMap<Uuid, Option<u64>>,
    numbers: HashSet<u64>,
    interrupted: HashSet<Uuid>,
    count: usize,
    doubled: usize,
}

impl Audit {
    pub(crate) async fn of(sql: &Client, calls: &[Call], seen: &HashSet<u64>) -> Self {
        let rows = Rows::read(sql).await;
        let mut audit = Self {
            rows: rows.count,
            interrupted: rows.interrupted.len(),
            doubled: rows.doubled,
            ..Self::default()
        };
        for call in calls {
            let Outcome::Answered(Some(id)) = call.outcome else {
                continue;
            };
            audit.answered += 1;
            match rows.by_id.get(&id) {
                None => audit.lost += 1,
                Some(number) => {
                    let right = *number == Some(call.number) && !rows.interrupted.contains(&id);
                    audit.wrong += usize::from(!right);
                }
            }
        }
        let asked: HashSet<u64> = calls.iter().map(|call| call.number).collect();
        audit.unaccounted = seen.difference(&rows.numbers).count();
        audit.strange = rows.numbers.difference(&asked).count();
        audit
    }

    /// Nothing lost, nothing doubled.
    pub(crate) fn check(&self, report: &mut Report) {
        let Self {
            answered,
            rows,
            interrupted,
            ..
        } = self;
        report.say(format_args!(
            "  {answered} answers, {rows} rows, {interrupted} of them of interrupted requests"
        ));
        report.check(format_args!("lost: {}", self.lost), self.lost == 0);
        self.check_rows(report);
        report.check(
            format_args!(
                "seen by the upstream and without a row: {}",
                self.unaccounted
            ),
            self.unaccounted == 0,
        );
    }

    /// Whatever is there is right.
    pub(crate) fn check_rows(&self, report: &mut Report) {
        report.check(format_args!("doubled: {}", self.doubled), self.doubled == 0);
        let wrong = self.wrong + self.strange;
        report.check(format_args!("wrong or nobody's: {wrong}"), wrong == 0);
    }
}

impl Rows {
    async fn read(sql: &Client) -> Self {
        let query = "SELECT request_id, model, error_code FROM usage_events";
        let nothing: [i32; 0] = [];
        let stream = sql.query_raw(query, nothing).await.unwrap();
        let mut stream = std::pin::pin!(stream);
        let mut rows = Self::default();
        while let Some(row) = stream.try_next().await.unwrap() {
            let error: Option<&str> = row.get(2);
            let is_interrupted = error == Some("gateway_interrupted");
            rows.add(row.get(0), number_in(row.get(1)), is_interrupted);
        }
        rows
    }

    fn add(&mut self, id: Uuid, number: Option<u64>, is_interrupted: bool) {
        self.count += 1;
        let known_id = self.by_id.insert(id, number).is_some();
        let known_number = number.is_some_and(|number| !self.numbers.insert(number));
        self.doubled += usize::from(known_id || known_number);
        if is_interrupted {
            self.interrupted.insert(id);
        }
    }
}
