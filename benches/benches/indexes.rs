//! What each index of `usage_events` costs and gains: psql's `\copy` with and without it, and without the table's trigger, as a ratio
//! to the `\copy` into the whole table; then a query that it is for, with it and without.
//!
//! Ratios of what takes long on a machine that others use too are only to be had in turns: hence tables of its own, instead of
//! criterion. `scripts/with-postgres.sh cargo bench --bench indexes`, or `with-timescaledb.sh`; from the environment: `ROWS` and
//! `ROUNDS` of the one, `HISTORY` rows of the other.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that prints what it saw"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use benches::clock::ago;
use benches::events::events;
use benches::storing::{Way, store, write};
use benches::{history, run};
use testkit::Database;
use tokio_postgres::Client;

/// (index, a query that it is for)
const QUERIES: [(&str, &str); 6] = [
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

struct Case {
    name: String,
    file: Way,
    /// SQL before and after each run.
    prepare: String,
    restore: String,
}

#[tokio::main]
async fn main() {
    let rows = run::amount("ROWS", 200_000, 500);
    let rounds = run::amount("ROUNDS", 5, 1);
    let history = run::amount("HISTORY", 10_000_000, 2_800);
    let database = Database::migrated().await;
    let client = database.connect().await;
    // Scans, not the compiler, are what is compared.
    client.batch_execute("SET jit = off").await.unwrap();
    costs(&database, &client, rows, rounds).await;
    empty(&client).await;
    history::fill(&database, history);
    println!("\n{history} rows over {} days", history::DAYS);
    gains(&client, &history::now(&database)).await;
}

async fn costs(database: &Database, client: &Client, rows: usize, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(client, folder.path(), rows).await;
    let mut rates = vec![Vec::new(); cases.len()];
    // The first round warms up.
    let warm_ups = usize::from(!run::is_trial());
    for round in 0..warm_ups + rounds {
        for (case, rates) in cases.iter().zip(&mut rates) {
            empty(client).await;
            client.batch_execute(&case.prepare).await.unwrap();
            let took = store(database, &case.file, rows).await;
            client.batch_execute(&case.restore).await.unwrap();
            if round >= warm_ups {
                rates.push(rows as f64 / took.as_secs_f64());
            }
        }
    }
    println!(
        "{}: {rows} rows, {rounds} rounds",
        history::engine(database)
    );
    println!("| \\copy | rows/s | ratio to the first (min..max) |\n|---|---|---|");
    let base = &rates[0];
    for (case, rates) in cases.iter().zip(&rates) {
        let mut ratios: Vec<f64> = rates
            .iter()
            .zip(base)
            .map(|(rate, base)| rate / base)
            .collect();
        let mut rates = rates.clone();
        rates.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        let (rate, ratio) = (rates[rates.len() / 2], ratios[ratios.len() / 2]);
        println!(
            "| {} | {rate:.0} | {ratio:.2} ({low:.2}..{high:.2}) |",
            case.name
        );
    }
}

async fn cases(client: &Client, files: &Path, rows: usize) -> Vec<Case> {
    // Not late while the benchmark runs.
    let fresh = write(files.join("fresh"), &events(rows, ago(Duration::ZERO)));
    let late = events(rows, ago(Duration::from_hours(6)));
    let late = write(files.join("late"), &late);
    let case = |name: String, file: &Path, prepare: String, restore: String| Case {
        name,
        file: Way::Psql(file.to_owned()),
        prepare,
        restore,
    };
    let plain = |name: &str, file| case(name.to_owned(), file, String::new(), String::new());
    let mut cases = vec![
        plain("into the whole table", &fresh),
        plain("of rows that are six hours late", &late),
    ];
    let triggers = "SELECT tgname::TEXT, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = 'usage_events'::REGCLASS AND tgname = 'note_late_usage'";
    for (trigger, definition) in strings(client, triggers).await {
        for (of, file) in [("", &fresh), ("of late rows ", &late)] {
            let name = format!("{of}without the trigger {trigger}");
            let drop = format!("DROP TRIGGER {trigger} ON usage_events");
            cases.push(case(name, file, drop, definition.clone()));
        }
    }
    let indexes = "SELECT indexrelid::REGCLASS::TEXT, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'usage_events'::REGCLASS ORDER BY 1";
    let indexes = strings(client, indexes).await;
    let drop = |index: &str| format!("DROP INDEX {index}; ");
    let restore = |definition: &str| definition.replace(" ON ONLY ", " ON ") + "; ";
    for (index, definition) in &indexes {
        let name = format!("without {index}");
        cases.push(case(name, &fresh, drop(index), restore(definition)));
    }
    // One by one: TimescaleDB drops no several.
    let drops = indexes.iter().map(|(index, _)| drop(index)).collect();
    let restores = indexes.iter().map(|(_, definition)| restore(definition));
    let name = "without any index".to_owned();
    cases.push(case(name, &fresh, drops, restores.collect()));
    cases
}

async fn strings(client: &Client, sql: &str) -> Vec<(String, String)> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn empty(client: &Client) {
    let sql = "TRUNCATE usage_events; CHECKPOINT";
    client.batch_execute(sql).await.unwrap();
}

async fn gains(client: &Client, now: &str) {
    println!("| index | size | its query with it | without it | ratio |\n|---|---|---|---|---|");
    for (index, query) in QUERIES {
        let query = query.replace("now()", now);
        let (fast, rows) = fastest(client, &query).await;
        let drop = format!("BEGIN; DROP INDEX {index}");
        client.batch_execute(&drop).await.unwrap();
        let (slow, same) = fastest(client, &query).await;
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(rows, same, "{index}");
        let sql = "SELECT pg_size_pretty(sum(pg_relation_size(part)))
            FROM (SELECT relid AS part FROM pg_partition_tree($1::TEXT::REGCLASS)
                  UNION SELECT indexrelid FROM pg_stat_all_indexes
                  WHERE indexrelname LIKE '%chunk_' || $1::TEXT) AS parts";
        let size: Option<String> = client.query_one(sql, &[&index]).await.unwrap().get(0);
        println!(
            "| {index} | {} | {fast:.1?} | {slow:.1?} | {:.1} |",
            size.unwrap_or_default(),
            slow.as_secs_f64() / fast.as_secs_f64()
        );
    }
}

/// The fastest of five, or in a trial the only one, with its number of lines.
async fn fastest(client: &Client, sql: &str) -> (Duration, usize) {
    let mut times = Vec::new();
    let mut lines = 0;
    for _ in 0..if run::is_trial() { 1 } else { 5 } {
        let started = Instant::now();
        lines = client.query(sql, &[]).await.unwrap().len();
        times.push(started.elapsed());
    }
    (times.into_iter().min().unwrap(), lines)
}
