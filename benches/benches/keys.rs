//! Finding a caller's key: the SHA-256 of its text and one read of the index, of a thousand keys, which stay in the processor's
//! caches, and of a million, which don't.
//!
//! Beside it what it can't do without: SHA-256 of the same text alone, and a read of a plain `HashMap` that nobody else reads,
//! with the hash at hand.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use benches::{keys, run};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::KeyHash;
use sha2::{Digest, Sha256};

/// So many callers take turns that no one's record is at hand from the last time.
const CALLERS: usize = 10_000;

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    group.throughput(Throughput::Elements(1));
    let counts = if run::is_trial() {
        [1, 2]
    } else {
        [1_000, 1_000_000]
    };
    for count in counts {
        let index = keys::index(count);
        // A step that has no divisor in common with the counts: callers aren't neighbours in memory.
        let numbers = (0..CALLERS).map(|turn| turn * 7_919 % count);
        let callers: Vec<_> = numbers.map(keys::key).collect();
        let mut turns = callers.iter().cycle();
        group.bench_function(BenchmarkId::new("gateway", count), |bencher| {
            bencher.iter(|| {
                let hash = KeyHash::of(black_box(turns.next()?).as_bytes());
                index.get(&hash)
            });
        });
        let stranger = keys::key(count);
        group.bench_function(
            BenchmarkId::new("gateway, a key unknown", count),
            |bencher| {
                bencher.iter(|| index.get(&KeyHash::of(black_box(&stranger).as_bytes())));
            },
        );
        group.bench_function(BenchmarkId::new("sha2", count), |bencher| {
            bencher.iter(|| Some(Sha256::digest(black_box(turns.next()?).as_bytes())));
        });
        let tenant = keys::tenant();
        let entry = |number| {
            let record = keys::record(number, &tenant);
            (record.hash, Arc::new(record))
        };
        let map: HashMap<_, _> = (0..count).map(entry).collect();
        let hashes: Vec<_> = callers
            .iter()
            .map(|key| KeyHash::of(key.as_bytes()))
            .collect();
        let mut turns = hashes.iter().cycle();
        group.bench_function(BenchmarkId::new("HashMap", count), |bencher| {
            bencher.iter(|| map.get(black_box(turns.next()?)).cloned());
        });
    }
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
