//! What it costs to store usage: rows per second as a ratio to psql's `\copy` of the same rows into the same table, in
//! turns, and the same `\copy` without each of the table's indexes and triggers.
//!
//! `scripts/with-postgres.sh cargo bench --bench copy`, or `with-timescaledb.sh`. `ROWS` and `ROUNDS` from the environment.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that prints what it saw"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::{
    ApiKeyId, Clock, Endpoint, EventType, OrgId, Outcome, ProjectId, RequestId, Timestamp,
    TokenCounts, Usage, UsageEvent, UsageQuality, UserId,
};
use ingest::{Batch, COPY_STATEMENT, Ingest, Options, SpoolOptions};
use serde_json::json;
use testkit::Database;
use tokio_postgres::Client;
use uuid::Uuid;

/// How rows get into the table.
enum Way {
    /// By psql, from a file of the same binary format.
    Psql(PathBuf),
    /// By so many writers, from their spools.
    Gateway(usize),
}

struct Case {
    name: String,
    way: Way,
    /// SQL before and after each run.
    prepare: String,
    restore: String,
}

#[derive(Debug)]
struct BenchClock(Instant);

impl Clock for BenchClock {
    fn now(&self) -> Timestamp {
        at(Duration::ZERO, 0)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Some time from `age` ago on.
fn at(age: Duration, micros: i64) -> Timestamp {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap() - age;
    Timestamp {
        unix_micros: i64::try_from(since_epoch.as_micros()).unwrap() + micros,
    }
}

/// What a hundred tenants' streams leave behind, a row each millisecond.
fn events(rows: usize, age: Duration) -> Vec<UsageEvent> {
    let models = ["claude-haiku-4-5", "claude-opus-5", "claude-sonnet-5-5"];
    let id = |kind: u128, number: usize| Uuid::from_u128(kind << 64 | number as u128);
    let event = |number: usize| {
        UsageEvent {
        time: at(age, i64::try_from(number).unwrap() * 1_000),
        org_id: OrgId(id(1, number % 100)),
        project_id: ProjectId(id(2, number % 400)),
        user_id: Some(UserId(id(3, number * 7 % 2_000))),
        api_key_id: ApiKeyId(id(4, number % 800)),
        request_id: RequestId::next(),
        event_type: EventType::Streaming,
        model: models[number % 3].to_owned(),
        usage: Usage {
            tokens: TokenCounts {
                input: 1_200 + number as u64 % 900,
                output: number as u64 % 4_000,
                cache_read: 9_000,
                cache_write: number as u64 % 50,
                cache_write_1h: 0,
            },
            web_search_requests: 0,
            service_tier: Some("standard".to_owned()),
            raw: json!({ "cache_creation": { "ephemeral_5m_input_tokens": number % 50, "ephemeral_1h_input_tokens": 0 } })
                .as_object()
                .unwrap()
                .clone(),
        },
        cost: domain::Cost::default(),
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        quality: UsageQuality::Exact,
        latency_ms: 2_000,
        time_to_first_token_ms: Some(300),
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".to_owned()),
        test: false,
    }
    };
    (0..rows).map(event).collect()
}

/// Puts events into a spool, and stores what the database takes.
async fn spool(options: &Options, url: &str, events: Vec<UsageEvent>) {
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let server = ingest::Database::new(url, tls).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(BenchClock(Instant::now()));
    let (ingest, mut lanes) =
        Ingest::start(options, &server, &clock, &Arc::default(), None).unwrap();
    let lane = lanes.remove(0);
    for event in events {
        let slot = loop {
            match lane.reserve() {
                Some(slot) => break slot,
                // What was handed over is on its way to the disk.
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let _ticket = slot.submit(&event);
    }
    drop(lane);
    ingest.finish(Duration::from_secs(300)).await.unwrap();
}

fn spool_in(folder: &tempfile::TempDir) -> SpoolOptions {
    SpoolOptions {
        dir: folder.path().join("spool"),
        survives_power_loss: false,
        max_bytes: None,
        keep: Duration::from_secs(1),
    }
}

fn write(path: PathBuf, events: &[UsageEvent]) -> PathBuf {
    let mut batch = Batch::new();
    for event in events {
        batch.encode(event);
    }
    std::fs::write(&path, batch.into_data().events.unwrap()).unwrap();
    path
}

async fn strings(client: &Client, sql: &str) -> Vec<(String, String)> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn cases(client: &Client, files: &Path, rows: usize) -> Vec<Case> {
    // Not late while the benchmark runs.
    let fresh = write(files.join("fresh"), &events(rows, Duration::ZERO));
    let late = write(files.join("late"), &events(rows, Duration::from_hours(6)));
    let plain = |name: &str, way: Way| Case {
        name: name.to_owned(),
        way,
        prepare: String::new(),
        restore: String::new(),
    };
    let mut cases = vec![
        plain("\\copy", Way::Psql(fresh.clone())),
        plain("gateway, 1 writer, from its spool", Way::Gateway(1)),
        plain("gateway, 2 writers, from their spools", Way::Gateway(2)),
        plain(
            "\\copy of rows that are six hours late",
            Way::Psql(late.clone()),
        ),
    ];
    let triggers = "SELECT tgname::TEXT, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE tgrelid = 'usage_events'::REGCLASS AND tgname = 'note_late_usage'";
    for (trigger, definition) in strings(client, triggers).await {
        for (name, file) in [("", &fresh), (" of late rows", &late)] {
            cases.push(Case {
                name: format!("\\copy{name} without the trigger {trigger}"),
                way: Way::Psql(file.clone()),
                prepare: format!("DROP TRIGGER {trigger} ON usage_events"),
                restore: definition.clone(),
            });
        }
    }
    let indexes = "SELECT indexrelid::REGCLASS::TEXT, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'usage_events'::REGCLASS ORDER BY 1";
    let indexes = strings(client, indexes).await;
    for (index, definition) in &indexes {
        cases.push(Case {
            name: format!("\\copy without {index}"),
            way: Way::Psql(fresh.clone()),
            prepare: format!("DROP INDEX {index}"),
            restore: definition.replace(" ON ONLY ", " ON "),
        });
    }
    // One by one: TimescaleDB drops no several.
    let drops = indexes
        .iter()
        .map(|(index, _)| format!("DROP INDEX {index}; "));
    let definitions: Vec<_> = indexes
        .iter()
        .map(|(_, definition)| definition.replace(" ON ONLY ", " ON "))
        .collect();
    cases.push(Case {
        name: "\\copy without any index".to_owned(),
        way: Way::Psql(fresh),
        prepare: drops.collect(),
        restore: definitions.join("; "),
    });
    cases
}

async fn store(database: &Database, way: &Way, rows: usize) -> Duration {
    match way {
        Way::Psql(file) => {
            let statement = COPY_STATEMENT.replace("FROM STDIN", "FROM PSTDIN");
            let command = format!("\\{}", statement.to_lowercase());
            let file = File::open(file).unwrap();
            let started = Instant::now();
            drop(database.psql_with(&command, file));
            started.elapsed()
        }
        Way::Gateway(writers) => {
            let folder = tempfile::tempdir().unwrap();
            let options = Options {
                lanes: 1,
                writers: *writers,
                batch_rows: 5_000,
                batch_interval: Duration::from_millis(100),
                max_pending_events: 10_000,
                spool: spool_in(&folder),
            };
            // Nobody listens there: everything waits on disk.
            spool(
                &options,
                "postgres://127.0.0.1:1/none",
                events(rows, Duration::ZERO),
            )
            .await;
            let started = Instant::now();
            spool(&options, &database.url(), Vec::new()).await;
            started.elapsed()
        }
    }
}

#[tokio::main]
async fn main() {
    let rows = from_environment("ROWS", 200_000);
    let rounds = from_environment("ROUNDS", 5);
    let files = std::env::temp_dir().join(format!("mindweave-copy-{}", std::process::id()));
    std::fs::create_dir_all(&files).unwrap();
    let database = Database::migrated().await;
    let client = database.connect().await;
    let cases = cases(&client, &files, rows).await;
    let mut rates = vec![Vec::new(); cases.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for (case, rates) in cases.iter().zip(&mut rates) {
            client
                .batch_execute("TRUNCATE usage_events; CHECKPOINT")
                .await
                .unwrap();
            client.batch_execute(&case.prepare).await.unwrap();
            let took = store(&database, &case.way, rows).await;
            client.batch_execute(&case.restore).await.unwrap();
            let stored: i64 = client
                .query_one("SELECT count(*) FROM usage_events", &[])
                .await
                .unwrap()
                .get(0);
            assert_eq!(usize::try_from(stored).unwrap(), rows, "{}", case.name);
            if round > 0 {
                rates.push(rows as f64 / took.as_secs_f64());
            }
        }
    }
    let [(engine, version)] = &strings(
        &client,
        "SELECT storage_engine(), current_setting('server_version')",
    )
    .await[..] else {
        return;
    };
    println!("{engine}, PostgreSQL {version}: {rows} rows, {rounds} rounds");
    println!("| rows | rows/s | ratio to \\copy (min..max) |\n|---|---|---|");
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
    std::fs::remove_dir_all(&files).unwrap();
}
