//! Ways into the table of usage.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark takes the time, and says so if it can't run"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Clock, UsageEvent};
use ingest::{Batch, COPY_STATEMENT, Ingest, Lane, Options, SpoolOptions};
use testkit::Database;

use crate::clock::{SystemClock, ago};
use crate::events::events;

/// How rows get into the table.
#[derive(Debug)]
pub enum Way {
    /// By psql's `\copy`, from a file of the same binary format.
    Psql(PathBuf),
    /// By so many writers, from their spools.
    Gateway(usize),
}

/// A file of the rows of these events, for `\copy`.
#[must_use]
pub fn write(path: PathBuf, events: &[UsageEvent]) -> PathBuf {
    let mut batch = Batch::new();
    for event in events {
        batch.encode(event);
    }
    std::fs::write(&path, batch.into_data().events.unwrap()).unwrap();
    path
}

/// Stores so many rows, and says how long that took.
pub async fn store(database: &Database, way: &Way, rows: usize) -> Duration {
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
                writers: *writers,
                batch_interval: Duration::from_millis(100),
                ..options(folder.path(), false)
            };
            spool(&options, NOBODY, events(rows, ago(Duration::ZERO))).await;
            let started = Instant::now();
            spool(&options, &database.url(), Vec::new()).await;
            started.elapsed()
        }
    }
}

/// Where no database listens: everything waits on disk.
const NOBODY: &str = "postgres://127.0.0.1:1/none";

/// Puts events into a spool, and stores what the database takes.
async fn spool(options: &Options, url: &str, events: Vec<UsageEvent>) {
    let (ingest, lane) = start(options, url);
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

/// What takes events to disk and no further, with the lane that they come by.
#[must_use]
pub fn start_spooling(folder: &Path, survives_power_loss: bool) -> (Ingest, Lane) {
    start(&options(folder, survives_power_loss), NOBODY)
}

fn start(options: &Options, url: &str) -> (Ingest, Lane) {
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let database = ingest::Database::new(url, tls).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::started());
    let (ingest, mut lanes) =
        Ingest::start(options, &database, &clock, &Arc::default(), None).unwrap();
    (ingest, lanes.remove(0))
}

fn options(folder: &Path, survives_power_loss: bool) -> Options {
    Options {
        lanes: 1,
        writers: 2,
        batch_rows: 5_000,
        batch_interval: Duration::from_millis(200),
        max_pending_events: 10_000,
        spool: SpoolOptions {
            dir: folder.join("spool"),
            survives_power_loss,
            max_bytes: Some(16 << 30),
            keep: Duration::from_secs(1),
        },
    }
}
