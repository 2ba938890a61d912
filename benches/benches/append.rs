//! What it costs to have an event on disk: from handing it over to the word that it is durable, with both durabilities, by so many
//! requests on one thread that each wait for their own. The time is that of an event, with all requests at work.
//!
//! Beside it `pwrite` of as many rows at once, into blocks that the file has, and `fdatasync` behind them where a loss of power is
//! to be survived.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark takes the time, and says so if it can't run"
)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use benches::events::event;
use benches::policies::NOW;
use benches::run;
use benches::storing::start_spooling;
use bytes::BytesMut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::UsageEvent;
use ingest::{Lane, Opening};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let event = event(7, NOW);
    let mut row = BytesMut::new();
    ingest::encode(&event, &mut row);
    let mut group = criterion.benchmark_group("append");
    group
        .sample_size(10)
        .throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: row.len() as u64,
        });
    let folder = tempfile::tempdir().unwrap();
    let mut bare = Bare::new(&folder);
    for (name, limit, survives_power_loss) in [
        ("gateway, fsync", "pwrite and fdatasync", true),
        ("gateway, process", "pwrite", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (ingest, lane) =
            runtime.block_on(async { start_spooling(folder.path(), survives_power_loss) });
        for requests in [1, 16, 128] {
            group.bench_function(BenchmarkId::new(name, requests), |bencher| {
                bencher.iter_custom(|events| durable(&runtime, &lane, &event, requests, events));
            });
            let rows = row.repeat(usize::try_from(requests).unwrap());
            group.bench_function(BenchmarkId::new(limit, requests), |bencher| {
                bencher.iter_custom(|events| {
                    let groups = events.div_ceil(requests);
                    let took = bare.write(&rows, groups, survives_power_loss);
                    share(took, events, groups * requests)
                });
            });
        }
        drop(lane);
        let _waiting = runtime.block_on(ingest.finish(Duration::from_secs(10)));
    }
    group.finish();
}

fn durable(
    runtime: &Runtime,
    lane: &Lane,
    event: &UsageEvent,
    requests: u64,
    events: u64,
) -> Duration {
    let set = LocalSet::new();
    runtime.block_on(set.run_until(async {
        let acknowledging = lane.clone();
        let acknowledging =
            tokio::task::spawn_local(async move { acknowledging.acknowledge().await });
        let each = events.div_ceil(requests);
        let started = Instant::now();
        let running: Vec<_> = (0..requests)
            .map(|_| tokio::task::spawn_local(one_by_one(lane.clone(), event.clone(), each)))
            .collect();
        for request in running {
            request.await.unwrap();
        }
        let took = started.elapsed();
        acknowledging.abort();
        share(took, events, each * requests)
    }))
}

/// What some took of these: all requests have as many, so there may be more than were asked for.
fn share(took: Duration, some: u64, all: u64) -> Duration {
    took.mul_f64(some as f64 / all as f64)
}

/// One request after the other, as a data-plane thread has them.
async fn one_by_one(lane: Lane, event: UsageEvent, count: u64) {
    for _ in 0..count {
        let event = event.clone();
        let opening = Opening {
            request_id: event.request_id,
            time: event.time,
            org_id: event.org_id,
            project_id: event.project_id,
            user_id: event.user_id,
            api_key_id: event.api_key_id,
            endpoint: event.endpoint,
            model: &event.model,
            test: false,
        };
        let slot = loop {
            match lane.admit(&opening) {
                Some(slot) => break slot,
                None => tokio::time::sleep(Duration::from_micros(100)).await,
            }
        };
        slot.submit(&event).await;
    }
}

/// A file that is written from its beginning again when its end is reached.
struct Bare {
    file: File,
    bytes: u64,
    offset: u64,
}

impl Bare {
    fn new(folder: &tempfile::TempDir) -> Self {
        let megabytes = if run::is_trial() { 1 } else { 64 };
        let mut file = File::create(folder.path().join("bare")).unwrap();
        for _ in 0..megabytes {
            file.write_all(&vec![1; 1 << 20]).unwrap();
        }
        file.sync_all().unwrap();
        Self {
            file,
            bytes: megabytes << 20,
            offset: 0,
        }
    }

    fn write(&mut self, rows: &[u8], groups: u64, survives_power_loss: bool) -> Duration {
        let started = Instant::now();
        for _ in 0..groups {
            if self.offset + rows.len() as u64 > self.bytes {
                self.offset = 0;
            }
            self.file.write_all_at(rows, self.offset).unwrap();
            self.offset += rows.len() as u64;
            if survives_power_loss {
                self.file.sync_data().unwrap();
            }
        }
        started.elapsed()
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
