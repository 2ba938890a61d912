//! What rollups and indexes of usage gain: four reports over raw rows and over rollups, and each index's query with and
//! without it.
//!
//! `scripts/with-postgres.sh cargo bench --bench reports`, or `with-timescaledb.sh`. `ROWS` from the environment.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that prints what it saw"
)]

use std::time::{Duration, Instant};

use testkit::Database;
use tokio_postgres::Client;

const DAYS: usize = 28;

/// (what, its rollup, over the rollup, over raw rows)
const REPORTS: [(&str, &str, &str); 4] = [
    (
        "spend of one organization by day and model, 28 days",
        "SELECT bucket, model, sum(total_cost_cents) FROM usage_daily
         WHERE org_id = org(7) AND bucket >= date_trunc('day', now(), 'UTC') - interval '28 days' GROUP BY 1, 2",
        "SELECT date_trunc('day', time, 'UTC'), model, sum(cost_cents) FROM usage_events
         WHERE org_id = org(7) AND time >= date_trunc('day', now(), 'UTC') - interval '28 days'
           AND NOT metadata ? 'test' GROUP BY 1, 2",
    ),
    (
        "bill of every project, by month",
        "SELECT bucket, org_id, project_id, sum(total_cost_cents) FROM usage_monthly GROUP BY 1, 2, 3",
        "SELECT date_trunc('month', time, 'UTC'), org_id, project_id, sum(cost_cents) FROM usage_events
         WHERE NOT metadata ? 'test' GROUP BY 1, 2, 3",
    ),
    (
        "latency percentiles and users of one project by hour and model, 7 days",
        "SELECT bucket, model, p50_latency_ms, p95_latency_ms, p99_latency_ms, unique_users FROM usage_hourly
         WHERE org_id = org(7) AND project_id = project(7)
           AND bucket >= date_trunc('hour', now(), 'UTC') - interval '7 days'",
        "SELECT date_trunc('hour', time, 'UTC'), model, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
                percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms),
                percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms), count(DISTINCT user_id) FROM usage_events
         WHERE org_id = org(7) AND project_id = project(7)
           AND time >= date_trunc('hour', now(), 'UTC') - interval '7 days' AND NOT metadata ? 'test' GROUP BY 1, 2",
    ),
    (
        "requests and errors of all by minute, 6 hours",
        "SELECT bucket, sum(request_count), sum(error_count) FROM usage_minute
         WHERE bucket >= date_trunc('minute', now(), 'UTC') - interval '6 hours' GROUP BY 1",
        "SELECT date_trunc('minute', time, 'UTC'), count(*), count(*) FILTER (WHERE status = 'error') FROM usage_events
         WHERE time >= date_trunc('minute', now(), 'UTC') - interval '6 hours' AND NOT metadata ? 'test' GROUP BY 1",
    ),
];

/// (index, a query that it is for)
const INDEXES: [(&str, &str); 6] = [
    (
        "idx_usage_events_org_time",
        "SELECT * FROM usage_events WHERE org_id = org(7) ORDER BY time DESC LIMIT 100",
    ),
    (
        "idx_usage_events_project_time",
        "SELECT sum(cost_cents) FROM usage_events WHERE project_id = project(7) AND time >= now() - interval '1 day'",
    ),
    (
        "idx_usage_events_user_time",
        "SELECT sum(cost_cents) FROM usage_events WHERE user_id = person(7) AND time >= now() - interval '7 days'",
    ),
    (
        "idx_usage_events_model",
        "SELECT * FROM usage_events WHERE model = 'claude-9' ORDER BY time DESC LIMIT 100",
    ),
    (
        "idx_usage_events_mcp",
        "SELECT * FROM usage_events WHERE mcp_server_id = org(7) AND time >= now() - interval '7 days'",
    ),
    (
        "idx_usage_events_time",
        "SELECT count(*) FROM usage_events WHERE time >= now() - interval '10 minutes'",
    ),
];

const IDS: &str = "
    CREATE FUNCTION org(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('org' || n)::uuid $$;
    CREATE FUNCTION project(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('project' || n)::uuid $$;
    CREATE FUNCTION person(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('person' || n)::uuid $$;";

/// Rows of a hundred organizations with four projects each, evenly over a day; one in a hundred calls a server's tool.
const DAY: &str = "INSERT INTO usage_events (
        time, org_id, project_id, user_id, api_key_id, request_id, event_type, model, input_tokens, output_tokens,
        cache_read_tokens, cost_cents, latency_ms, status, mcp_server_id)
    SELECT now() - $1::BIGINT * interval '1 day' + n * interval '1 day' / $2::BIGINT,
           org(n % 100), project(n % 400), person(n * 7 % 2000), project(n % 800), gen_random_uuid(), 'api_call',
           'claude-' || CASE WHEN n % 1000 = 0 THEN 9 ELSE n * 31 % 97 % 5 END, n % 5000, n % 900, n % 9000,
           (n % 4000) / 1000.0, n * 13 % 30000, CASE n % 50 WHEN 0 THEN 'error' ELSE 'success' END,
           CASE WHEN n % 100 = 7 THEN org(n % 1000 / 100) END
    FROM generate_series(1::BIGINT, $2::BIGINT) AS n";

async fn fill(client: &Client, rows: usize) {
    client.batch_execute(IDS).await.unwrap();
    let per_day = i64::try_from(rows / DAYS).unwrap();
    for age in (1..=i64::try_from(DAYS).unwrap()).rev() {
        if engine(client).await == "postgresql" {
            let partition = format!(
                "SELECT make_partition('usage_events', day, day + interval '1 day') FROM (
                    SELECT date_trunc('day', now() - interval '{age} days', 'UTC') AS day) AS starts"
            );
            client.batch_execute(&partition).await.unwrap();
        }
        client.execute(DAY, &[&age, &per_day]).await.unwrap();
    }
    client
        .batch_execute("VACUUM ANALYZE usage_events")
        .await
        .unwrap();
}

async fn engine(client: &Client) -> String {
    client
        .query_one("SELECT storage_engine()", &[])
        .await
        .unwrap()
        .get(0)
}

/// Stores the rollups of all that is there.
async fn refresh(client: &Client) {
    if engine(client).await == "timescaledb" {
        for rollup in [
            "usage_minute",
            "usage_hourly",
            "usage_daily",
            "usage_monthly",
        ] {
            let sql = format!(
                "CALL refresh_continuous_aggregate('{rollup}', NULL, now() - interval '1 minute')"
            );
            client.batch_execute(&sql).await.unwrap();
        }
        return;
    }
    let sql = "SELECT refresh_usage_rollups()";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i32>(0) > 0 {}
    let sql = "ANALYZE usage_minute_closed, usage_hourly_closed, usage_daily_closed, usage_monthly_closed";
    client.batch_execute(sql).await.unwrap();
}

/// The fastest of five, with its number of rows.
async fn fastest(client: &Client, sql: &str) -> (Duration, usize) {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..5 {
        let started = Instant::now();
        rows = client.query(sql, &[]).await.unwrap().len();
        times.push(started.elapsed());
    }
    (times.into_iter().min().unwrap(), rows)
}

fn ratio(slow: Duration, fast: Duration) -> f64 {
    slow.as_secs_f64() / fast.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let rows = std::env::var("ROWS").map_or(10_000_000, |text| text.parse().unwrap());
    let database = Database::migrated().await;
    let client = database.connect().await;
    // Bitmap scans, not the compiler, are what is compared.
    client.batch_execute("SET jit = off").await.unwrap();
    let started = Instant::now();
    fill(&client, rows).await;
    println!(
        "{}: {rows} rows over {DAYS} days, inserted in {:?}",
        engine(&client).await,
        started.elapsed()
    );
    let started = Instant::now();
    refresh(&client).await;
    println!("all rollups stored in {:?}", started.elapsed());
    let started = Instant::now();
    refresh(&client).await;
    println!("and again, with nothing new, in {:?}\n", started.elapsed());

    println!("| report | rows | over raw rows | over rollups | ratio |\n|---|---|---|---|---|");
    for (what, over_rollup, over_raw) in REPORTS {
        let (fast, rows) = fastest(&client, over_rollup).await;
        let (slow, same) = fastest(&client, over_raw).await;
        assert_eq!(rows, same, "{what}");
        println!(
            "| {what} | {rows} | {slow:.1?} | {fast:.1?} | {:.0} |",
            ratio(slow, fast)
        );
    }

    println!("\n| index | size | its query with it | without it | ratio |\n|---|---|---|---|---|");
    for (index, query) in INDEXES {
        let (fast, rows) = fastest(&client, query).await;
        client
            .batch_execute(&format!("BEGIN; DROP INDEX {index}"))
            .await
            .unwrap();
        let (slow, same) = fastest(&client, query).await;
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(rows == same || index == "idx_usage_events_time", "{index}");
        let sql = "SELECT pg_size_pretty(sum(pg_relation_size(part)))
            FROM (SELECT relid AS part FROM pg_partition_tree($1::TEXT::REGCLASS)
                  UNION SELECT indexrelid FROM pg_stat_all_indexes
                  WHERE indexrelname LIKE '%chunk_' || $1::TEXT) AS parts";
        let size: Option<String> = client.query_one(sql, &[&index]).await.unwrap().get(0);
        println!(
            "| {index} | {} | {fast:.1?} | {slow:.1?} | {:.1} |",
            size.unwrap_or_default(),
            ratio(slow, fast)
        );
    }
}
