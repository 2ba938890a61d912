//! What reports of usage cost: from the views that the admin API reads, which take of an open bucket what has closed of it in finer
//! rollups, and from the rollups themselves, which read all of an open bucket row by row.
//!
//! Beside them the same reports from raw rows; the throughput is that of those rows, so it says how many of them the others save.
//! `scripts/with-postgres.sh cargo bench --bench reports`, or `with-timescaledb.sh`; `ROWS` from the environment.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark takes the time, and says so if it can't run"
)]

use std::time::Instant;

use benches::{history, run};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use testkit::Database;
use tokio_postgres::Client;

struct Report {
    name: &'static str,
    /// With `usage` in the place of what it reads.
    sql: &'static str,
    /// What the admin API reads, if that isn't the rollup.
    view: Option<&'static str>,
    rollup: &'static str,
    /// The same from raw rows, of those that count.
    raw: &'static str,
}

const REPORTS: [Report; 5] = [
    Report {
        name: "spend of an organization by day and model, 28 days",
        sql: "SELECT bucket, model, sum(total_cost_cents) FROM usage
              WHERE org_id = org(7) AND bucket >= date_trunc('day', now(), 'UTC') - interval '28 days' GROUP BY 1, 2",
        view: Some("usage_by_day"),
        rollup: "usage_daily",
        raw: "SELECT date_trunc('day', time, 'UTC'), model, sum(cost_cents) FROM usage_events
              WHERE org_id = org(7) AND time >= date_trunc('day', now(), 'UTC') - interval '28 days' AND counts GROUP BY 1, 2",
    },
    Report {
        name: "spend of all by hour, 7 days",
        sql: "SELECT bucket, sum(total_cost_cents) FROM usage
              WHERE bucket >= date_trunc('hour', now(), 'UTC') - interval '7 days' GROUP BY 1",
        view: Some("usage_by_hour"),
        rollup: "usage_hourly",
        raw: "SELECT date_trunc('hour', time, 'UTC'), sum(cost_cents) FROM usage_events
              WHERE time >= date_trunc('hour', now(), 'UTC') - interval '7 days' AND counts GROUP BY 1",
    },
    Report {
        name: "bill of every project by month",
        sql: "SELECT bucket, org_id, project_id, sum(total_cost_cents) FROM usage GROUP BY 1, 2, 3",
        view: Some("usage_by_month"),
        rollup: "usage_monthly",
        raw: "SELECT date_trunc('month', time, 'UTC'), org_id, project_id, sum(cost_cents) FROM usage_events
              WHERE counts GROUP BY 1, 2, 3",
    },
    Report {
        name: "latency percentiles and users of a project by hour and model, 7 days",
        sql: "SELECT bucket, model, p50_latency_ms, p95_latency_ms, p99_latency_ms, unique_users FROM usage
              WHERE org_id = org(7) AND project_id = project(7)
                AND bucket >= date_trunc('hour', now(), 'UTC') - interval '7 days'",
        view: None,
        rollup: "usage_hourly",
        raw: "SELECT date_trunc('hour', time, 'UTC'), model, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
                     percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms),
                     percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms), count(DISTINCT user_id) FROM usage_events
              WHERE org_id = org(7) AND project_id = project(7)
                AND time >= date_trunc('hour', now(), 'UTC') - interval '7 days' AND counts GROUP BY 1, 2",
    },
    Report {
        name: "requests and errors of all by minute, 6 hours",
        sql: "SELECT bucket, sum(request_count), sum(error_count) FROM usage
              WHERE bucket >= date_trunc('minute', now(), 'UTC') - interval '6 hours' GROUP BY 1",
        view: None,
        rollup: "usage_minute",
        raw: "SELECT date_trunc('minute', time, 'UTC'), count(*), count(*) FILTER (WHERE status = 'error') FROM usage_events
              WHERE time >= date_trunc('minute', now(), 'UTC') - interval '6 hours' AND counts GROUP BY 1",
    },
];

/// Neither keys for tests nor what a rule refused.
const COUNTS: &str = "NOT metadata ? 'test' AND NOT metadata ? 'refusals'";

fn reports(criterion: &mut Criterion) {
    let rows = run::amount("ROWS", 10_000_000, 2_800);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::migrated());
    let client = runtime.block_on(database.connect());
    // Scans, not the compiler, are what is compared.
    runtime
        .block_on(client.batch_execute("SET jit = off"))
        .unwrap();
    history::fill(&database, rows);
    for what in ["all rollups stored", "and again, with nothing new,"] {
        let started = Instant::now();
        history::refresh(&database);
        println!("{what} in {:?}", started.elapsed());
    }
    let now = history::now(&database);
    let mut group = criterion.benchmark_group("reports");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::Elements(rows as u64));
    for report in REPORTS {
        let of = |view: &str| report.sql.replace("FROM usage", &format!("FROM {view}"));
        let ways = [
            report.view.map(|view| ("view", of(view))),
            Some(("rollup", of(report.rollup))),
            Some(("raw rows", report.raw.replace("counts", COUNTS))),
        ];
        let mut lines = None;
        for (way, sql) in ways.into_iter().flatten() {
            let sql = sql.replace("now()", &now);
            let found = runtime.block_on(ask(&client, &sql));
            assert_eq!(*lines.get_or_insert(found), found, "{way}: {}", report.name);
            group.bench_function(BenchmarkId::new(way, report.name), |bencher| {
                bencher.iter(|| runtime.block_on(ask(&client, &sql)));
            });
        }
    }
    group.finish();
}

async fn ask(client: &Client, sql: &str) -> usize {
    client.query(sql, &[]).await.unwrap().len()
}

criterion_group!(benches, reports);
criterion_main!(benches);
