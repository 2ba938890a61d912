//! What the database has: today's rows one by one, the days before as its rollup has them. All in one transaction that sees one
//! moment, the positions of the spool's streams among it.
//!
//! A day that the rollup has stored and that got rows since is taken from the rows as well, which are kept for longer than
//! any window lasts.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{ApiKeyId, OrgId, ProjectId, Timestamp, UserId};
use futures_util::TryStreamExt as _;
use policy_engine::{Amounts, Window};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, IsolationLevel, Row, Transaction};
use uuid::Uuid;

use super::corrections::Seen;
use super::sums::{Account, Sums, start};

/// Of a span of time, divided where the hour begins.
const OF_ROWS: &str = "\
    SELECT org_id, project_id, api_key_id, user_id, model, min(time) AS since, \
           sum(input_tokens::bigint + cache_read_tokens + cache_write_tokens)::bigint AS input_tokens, \
           sum(output_tokens)::bigint AS output_tokens, count(*) AS requests, \
           trunc(sum(cost_cents) * 10000000000)::text AS picodollars \
    FROM usage_events \
    WHERE time >= $1 AND time < $2 AND NOT metadata ? 'test' AND NOT metadata ? 'refusals' \
    GROUP BY 1, 2, 3, 4, 5, time >= $3";

/// Of whole days, divided where the second of week and month begins.
const OF_DAYS: &str = "\
    SELECT org_id, project_id, api_key_id, user_id, model, min(bucket) AS since, \
           sum(total_input_tokens + total_cache_read_tokens + total_cache_write_tokens)::bigint AS input_tokens, \
           sum(total_output_tokens)::bigint AS output_tokens, sum(request_count)::bigint AS requests, \
           trunc(sum(total_cost_cents) * 10000000000)::text AS picodollars \
    FROM usage_daily \
    WHERE bucket >= $1 AND bucket < $2 AND bucket <> ALL($4) \
    GROUP BY 1, 2, 3, 4, 5, bucket >= $3";

/// Days that will be computed again.
const OUTDATED: &str = "\
    SELECT day FROM ( \
        SELECT date_bin('1 day', minute, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS day FROM usage_rollup_notes \
        UNION SELECT bucket FROM usage_rollup_reopened WHERE rollup = 'usage_daily') AS days \
    WHERE day >= $1 AND day < $2";

/// The last stored event of each stream.
pub(super) type Positions = HashMap<Uuid, u64>;

/// Sums up what was admitted before a moment, in the windows that it lies in.
pub(super) async fn read(
    client: &mut Client,
    before: Timestamp,
) -> Result<(Sums, Positions, Seen), Error> {
    let building = client.build_transaction();
    let transaction = building
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // Before there is a snapshot: one that is older than a move of rows between partitions sees them in neither.
    let begin = "SET LOCAL statement_timeout = 0; LOCK TABLE usage_events IN ACCESS SHARE MODE";
    transaction.batch_execute(begin).await?;
    let positions = positions(&transaction).await?;
    let seen = seen(&transaction).await?;
    let mut sums = Sums::new(before);
    let [hour, today, week, month] = [Window::Hour, Window::Day, Window::Week, Window::Month]
        .map(|window| sql_time(start(window, before)));
    let (first, second) = (week.min(month), week.max(month));
    let before = sql_time(before);

    let outdated: Vec<SystemTime> = transaction
        .query(OUTDATED, &[&first, &today])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let days = [&first as &(dyn ToSql + Sync), &today, &second, &outdated];
    add(&transaction, OF_DAYS, &days, &mut sums).await?;
    let again = outdated.iter().map(|day| (*day, *day + DAY));
    for (since, until) in again.chain([(today, before)]) {
        let span = [&since as &(dyn ToSql + Sync), &until, &hour];
        add(&transaction, OF_ROWS, &span, &mut sums).await?;
    }
    // It has only read.
    transaction.rollback().await?;
    Ok((sums, positions, seen))
}

const DAY: Duration = Duration::from_secs(86_400);

/// The transactions that the sum sees.
async fn seen(transaction: &Transaction<'_>) -> Result<Seen, Error> {
    let query = "SELECT pg_current_snapshot()::text";
    let text: String = transaction.query_one(query, &[]).await?.try_get(0)?;
    // What isn't understood has seen nothing: a correction may count twice then, and none is lost.
    Ok(Seen::parse(&text).unwrap_or_default())
}

async fn positions(transaction: &Transaction<'_>) -> Result<Positions, Error> {
    let rows = transaction
        .query("SELECT stream, seq FROM ingest_cursor", &[])
        .await?;
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()));
    rows.iter().map(read).collect()
}

async fn add(
    transaction: &Transaction<'_>,
    query: &str,
    parameters: &[&(dyn ToSql + Sync)],
    sums: &mut Sums,
) -> Result<(), Error> {
    let rows = transaction
        .query_raw(query, parameters.iter().copied())
        .await?;
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.try_next().await? {
        let (account, at, amounts) = read_row(&row)?;
        sums.add(account, at, amounts);
    }
    Ok(())
}

fn read_row(row: &Row) -> Result<(Account, Timestamp, Amounts), Error> {
    let count = |column: &str| -> Result<u64, Error> {
        let count: i64 = row.try_get(column)?;
        Ok(u64::try_from(count).unwrap_or_default())
    };
    let account = Account {
        org_id: OrgId(row.try_get("org_id")?),
        project_id: ProjectId(row.try_get("project_id")?),
        key_id: row.try_get::<_, Option<_>>("api_key_id")?.map(ApiKeyId),
        user_id: row.try_get::<_, Option<_>>("user_id")?.map(UserId),
        model: row.try_get("model")?,
    };
    let picodollars: &str = row.try_get("picodollars")?;
    let amounts = Amounts {
        input_tokens: count("input_tokens")?,
        output_tokens: count("output_tokens")?,
        requests: count("requests")?,
        // A whole number, unless it is more than there can be.
        cost: picodollars.parse().unwrap_or(u64::MAX),
    };
    Ok((account, timestamp(row.try_get("since")?), amounts))
}

fn sql_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(at.unix_micros.max(0).unsigned_abs())
}

fn timestamp(at: SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        unix_micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    }
}
