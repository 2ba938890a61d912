use domain::{ApiKeyId, OrgId, ProjectId, Timestamp, UserId};
use policy_engine::{Amounts, Settled, Window};
use testkit::Database;
use tokio_postgres::Client;
use uuid::Uuid;

use super::super::stored;
use super::super::sums::{Account, Sums, start};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// A row, as far as it counts.
struct Used {
    account: Account,
    at: i64,
    /// Input, cache reads, cache writes, output.
    tokens: [u64; 4],
    picodollars: u64,
    metadata: &'static str,
}

fn account(number: u128) -> Account {
    let id = |kind: u128| Uuid::from_u128(kind * 1_000 + number);
    Account {
        org_id: OrgId(id(1)),
        project_id: ProjectId(id(2)),
        key_id: (number != 1).then(|| ApiKeyId(id(3))),
        user_id: (number != 2).then(|| UserId(id(4))),
        model: ["claude-a", "", "claude-größe"][(number % 3) as usize].to_owned(),
    }
}

/// Rows at every edge of every window of a moment, and in between, each with numbers of its own.
fn rows(before: Timestamp) -> Vec<Used> {
    let mut times: Vec<i64> = (0..40)
        .map(|days| before.unix_micros - days * DAY - 7)
        .collect();
    for window in Window::ALL {
        let start = start(window, before).unix_micros;
        times.extend([start - 1, start, start + 1]);
    }
    times.extend([
        before.unix_micros - 1,
        before.unix_micros,
        before.unix_micros + HOUR,
    ]);
    let marks = [
        "{}",
        "{}",
        "{}",
        r#"{"test": true}"#,
        r#"{"refusals": 5}"#,
        r#"{"free": "test"}"#,
    ];
    let used = |(n, at): (usize, i64)| {
        let n = n as u64;
        Used {
            account: account(u128::from(n % 4)),
            at,
            tokens: [n, 1_000 * n, 1_000_000 * n, 2_000_000_000 + n],
            picodollars: 1_234_567_890_123 * n + 1,
            metadata: marks[(n % 7).min(5) as usize],
        }
    };
    times.into_iter().enumerate().map(used).collect()
}

fn expected(rows: &[Used], before: Timestamp) -> Vec<Settled> {
    let mut sums = Sums::new(before);
    for row in rows {
        let is_marked = row.metadata.contains("\"test\":") || row.metadata.contains("refusals");
        if is_marked || row.at >= before.unix_micros {
            continue;
        }
        let [input, cache_read, cache_write, output] = row.tokens;
        let amounts = Amounts {
            input_tokens: input + cache_read + cache_write,
            output_tokens: output,
            requests: 1,
            cost: row.picodollars,
        };
        sums.add(
            row.account.clone(),
            Timestamp {
                unix_micros: row.at,
            },
            amounts,
        );
    }
    sums.into_settled()
}

async fn insert(sql: &Client, row: &Used) {
    let Account {
        org_id,
        project_id,
        key_id,
        user_id,
        model,
    } = &row.account;
    let (key, user) = (key_id.map(|id| id.0), user_id.map(|id| id.0));
    let tokens = row.tokens.map(|count| i32::try_from(count).unwrap());
    let (dollars, rest) = (
        row.picodollars / 10_000_000_000,
        row.picodollars % 10_000_000_000,
    );
    let statement = format!(
        "INSERT INTO usage_events (time, org_id, project_id, api_key_id, user_id, request_id, event_type, model,
            input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, cost_cents, metadata)
         VALUES ('epoch'::timestamptz + $1::bigint * interval '1 microsecond', $2, $3, $4, $5, gen_random_uuid(),
            'api_call', $6, $7, $8, $9, $10, {dollars}.{rest:010}, '{}')",
        row.metadata
    );
    let [input, cache_read, cache_write, output] = &tokens;
    sql.execute(
        &statement,
        &[
            &row.at,
            &org_id.0,
            &project_id.0,
            &key,
            &user,
            model,
            input,
            cache_read,
            cache_write,
            output,
        ],
    )
    .await
    .unwrap();
}

/// Stores the days up to one, as the upkeep does.
async fn close_days(sql: &Client, until: Timestamp) {
    let until = format!(
        "'epoch'::timestamptz + {} * interval '1 microsecond'",
        until.unix_micros
    );
    let close = format!(
        "SELECT store_usage_rollup('usage_daily', '2024-01-01 UTC', {until});
         UPDATE usage_rollup_state SET watermark = {until} WHERE rollup = 'usage_daily';
         DELETE FROM usage_rollup_notes; DELETE FROM usage_rollup_reopened"
    );
    sql.batch_execute(&close).await.unwrap();
}

async fn read(database: &Database, before: Timestamp) -> Vec<Settled> {
    let mut client = database.connect().await;
    let (sums, ..) = stored::read(&mut client, before).await.unwrap();
    sums.into_settled()
}

/// Before anything is rolled up, after some days are, and after rows came for those.
async fn check(unix_micros: i64) {
    let before = Timestamp { unix_micros };
    let database = Database::migrated().await;
    let sql = database.connect().await;
    let mut rows = rows(before);
    for row in &rows {
        insert(&sql, row).await;
    }
    assert_eq!(read(&database, before).await, expected(&rows, before));

    close_days(
        &sql,
        Timestamp {
            unix_micros: start(Window::Day, before).unix_micros - 2 * DAY,
        },
    )
    .await;
    assert_eq!(read(&database, before).await, expected(&rows, before));

    for days in [1, 3, 6, 20] {
        let late = Used {
            account: account(9),
            at: unix_micros - days * DAY,
            tokens: [1, 2, 3, 4],
            picodollars: 1,
            metadata: "{}",
        };
        insert(&sql, &late).await;
        rows.push(late);
    }
    assert_eq!(read(&database, before).await, expected(&rows, before));
    // Another part of the upkeep: what is to be computed again is known, and hasn't been.
    let reopen = "INSERT INTO usage_rollup_reopened
        SELECT DISTINCT 'usage_daily', date_trunc('day', minute, 'UTC') FROM usage_rollup_notes;
        DELETE FROM usage_rollup_notes";
    sql.batch_execute(reopen).await.unwrap();
    assert_eq!(read(&database, before).await, expected(&rows, before));
}

#[tokio::test]
async fn in_the_middle_of_a_week_of_the_month() {
    check(1_715_776_496_789_012).await; // Wednesday, 2024-05-15 12:34:56.789012
}

#[tokio::test]
async fn on_a_first_that_is_no_monday() {
    check(1_725_150_600_000_000).await; // Sunday, 2024-09-01 00:30
}

#[tokio::test]
async fn on_a_first_that_is_a_monday_as_it_begins() {
    check(1_719_792_000_000_001).await; // 2024-07-01 00:00:00.000001
}

#[tokio::test]
async fn at_the_end_of_a_long_month() {
    check(1_735_689_599_999_999).await; // Tuesday, 2024-12-31 23:59:59.999999
}

#[tokio::test]
async fn in_a_week_that_began_in_the_month_before() {
    check(1_709_442_000_000_000).await; // Sunday, 2024-03-03 05:00
}

#[test]
fn a_sum_lies_in_the_windows_that_had_begun() {
    let before = Timestamp {
        unix_micros: 1_715_776_496_789_012,
    };
    let one = Amounts {
        requests: 1,
        cost: u64::MAX,
        ..Amounts::default()
    };
    for (ago, expected) in [
        (
            1,
            vec![Window::Hour, Window::Day, Window::Week, Window::Month],
        ),
        (HOUR, vec![Window::Day, Window::Week, Window::Month]),
        (DAY, vec![Window::Week, Window::Month]),
        (4 * DAY, vec![Window::Month]),
        (20 * DAY, vec![]),
    ] {
        let mut sums = Sums::new(before);
        let at = Timestamp {
            unix_micros: before.unix_micros - ago,
        };
        for _ in 0..2 {
            sums.add(account(0), at, one);
        }
        let settled = sums.into_settled();
        let windows: Vec<_> = settled.iter().map(|settled| settled.window).collect();
        assert_eq!(windows, expected, "{ago}");
        for settled in settled {
            assert_eq!(settled.index, settled.window.index(before));
            assert_eq!(
                (settled.amounts.requests, settled.amounts.cost),
                (2, u64::MAX)
            );
        }
    }
}
