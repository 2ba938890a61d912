//! Storing usage: rows that lie in spools, by one writer and by two, with all that goes with it, up to where the reading position
//! has moved.
//!
//! Beside it psql's `\copy` of the same rows, encoded before, into the same table. `scripts/with-postgres.sh cargo bench --bench
//! copy`, or `with-timescaledb.sh`; `ROWS` from the environment. What the table's indexes cost of it is `indexes`'.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::time::Duration;

use benches::clock::ago;
use benches::events::events;
use benches::run;
use benches::storing::{Way, store, write};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use testkit::Database;
use tokio_postgres::Client;

fn copy(criterion: &mut Criterion) {
    let rows = run::amount("ROWS", 200_000, 500);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, client) = runtime.block_on(async {
        let database = Database::migrated().await;
        let client = database.connect().await;
        (database, client)
    });
    let folder = tempfile::tempdir().unwrap();
    // Not late while the benchmark runs.
    let fresh = events(rows, ago(Duration::ZERO));
    let file = write(folder.path().join("rows"), &fresh);
    let mut group = criterion.benchmark_group("copy");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::ElementsAndBytes {
            elements: rows as u64,
            bytes: file.metadata().unwrap().len(),
        });
    for (name, way) in [
        ("gateway, 1 writer", Way::Gateway(1)),
        ("gateway, 2 writers", Way::Gateway(2)),
        ("\\copy", Way::Psql(file)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let stores = (0..times).map(|_| {
                    runtime.block_on(async {
                        empty(&client).await;
                        let took = store(&database, &way, rows).await;
                        assert_eq!(count(&client).await, rows);
                        took
                    })
                });
                stores.sum()
            });
        });
    }
    group.finish();
}

async fn empty(client: &Client) {
    let sql = "TRUNCATE usage_events; CHECKPOINT";
    client.batch_execute(sql).await.unwrap();
}

async fn count(client: &Client) -> usize {
    let sql = "SELECT count(*) FROM usage_events";
    let count: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    usize::try_from(count).unwrap()
}

criterion_group!(benches, copy);
criterion_main!(benches);
