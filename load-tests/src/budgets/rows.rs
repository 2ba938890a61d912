//! The rows of an organization, each with what was held for its request.

use std::collections::HashMap;

use tokio_postgres::Client as Sql;
use uuid::Uuid;

use super::clients::{Passed, Told};
use super::house::{House, MOST_TOKENS};
use super::money::{self, MODELS, PROBE};

/// An admitted request. Times are microseconds since 1970, amounts picodollars.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) key: usize,
    pub(super) admitted: i64,
    /// When what it used took the place of what was held for it, at the latest; of an interrupted one nobody knows.
    pub(super) settled: Option<i64>,
    pub(super) cost: u64,
    /// Between these was what was held for it. The same but for who follows somebody that left: part of what was held may
    /// have been the other's.
    pub(super) held: (u64, u64),
    /// What its caller knows.
    pub(super) passed: Option<Passed>,
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) requests: Vec<Request>,
    pub(super) interrupted: usize,
}

struct Row {
    request_id: Uuid,
    pair: usize,
    admitted: i64,
    latency_ms: Option<i32>,
    cost: u64,
    input: u64,
    output: u64,
}

const REQUESTS: &str = "\
    SELECT request_id, api_key_id, model, (extract(epoch FROM time) * 1000000)::BIGINT, latency_ms, cost_cents::TEXT, \
           input_tokens::BIGINT + cache_read_tokens + cache_write_tokens, output_tokens::BIGINT, \
           coalesce(error_code = 'gateway_interrupted', FALSE) \
    FROM usage_events WHERE org_id = $1 AND model <> $2 AND NOT metadata ? 'refusals' ORDER BY time, request_id";

impl Rows {
    pub(super) async fn read(sql: &Sql, house: &House, told: &Told) -> Self {
        let mut rows = Self::default();
        let known: HashMap<Uuid, &Passed> = told
            .passed
            .iter()
            .map(|passed| (passed.request_id, passed))
            .collect();
        let mut pairs: HashMap<usize, Pair> = HashMap::new();
        for row in sql.query(REQUESTS, &[&house.org_id, &PROBE]).await.unwrap() {
            rows.interrupted += usize::from(row.get::<_, bool>(8));
            let row = Row::read(&row, house);
            let passed = known.get(&row.request_id).copied();
            let pair = pairs.entry(row.pair).or_default();
            rows.requests.push(pair.next(&row, passed));
        }
        rows
    }

    /// Those whose callers know of them.
    pub(super) fn of_answers(&self) -> usize {
        let known = |request: &&Request| request.passed.is_some();
        self.requests.iter().filter(known).count()
    }

    /// The sum over all.
    pub(super) fn spent(&self) -> u64 {
        self.requests.iter().map(|request| request.cost).sum()
    }
}

impl Row {
    fn read(row: &tokio_postgres::Row, house: &House) -> Self {
        let key_id: Uuid = row.get(1);
        let key = house.keys.iter().position(|(id, _)| *id == key_id).unwrap();
        let model: &str = row.get(2);
        let model = (0..MODELS).find(|index| money::model(*index) == model);
        let count = |column| row.get::<_, i64>(column).unsigned_abs();
        Self {
            request_id: row.get(0),
            pair: key * MODELS + model.unwrap(),
            admitted: row.get(3),
            latency_ms: row.get(4),
            cost: money::of_cents(row.get(5)).unwrap(),
            input: count(6),
            output: count(7),
        }
    }
}

/// What the rows of one pair of key and model have so far.
#[derive(Debug, Default)]
struct Pair {
    input: u64,
    output: u64,
    /// Whether the last one may still have been running when the next one came.
    doubtful: bool,
}

impl Pair {
    fn next(&mut self, row: &Row, passed: Option<&Passed>) -> Request {
        let price = money::prices(row.pair % MODELS);
        let held = passed
            .and_then(|passed| passed.left)
            .map(|(input, output)| {
                let input = (MOST_TOKENS - self.input).saturating_sub(input);
                let output = (MOST_TOKENS - self.output).saturating_sub(output);
                (input * price.0 + output * price.1).max(1)
            });
        let least = if self.doubtful { None } else { held };
        self.input += row.input;
        self.output += row.output;
        self.doubtful = passed.is_none_or(|passed| passed.abandoned);
        Request {
            key: row.pair / MODELS,
            admitted: row.admitted,
            // Milliseconds are rounded down.
            settled: row
                .latency_ms
                .map(|latency| row.admitted + (i64::from(latency) + 1) * 1_000),
            cost: row.cost,
            held: (least.unwrap_or(1), held.unwrap_or(u64::MAX / 2)),
            passed: passed.cloned(),
        }
    }
}
