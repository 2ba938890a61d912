//! What a decision costs: with more and more policies, on a budget that two threads share, with a million keys.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that can't run says so, and its macros make items without documentation"
)]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use benches::policies::{NOW, admit, engine, policy, settle};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use domain::PriceBook;

fn decisions(criterion: &mut Criterion) {
    let prices = PriceBook::embedded().unwrap();
    let mut group = criterion.benchmark_group("policies");
    for count in [0, 10, 100] {
        let engine = engine((0..count).map(policy).collect());
        group.bench_function(BenchmarkId::new("admit", count), |bencher| {
            bencher.iter(|| drop(black_box(admit(&engine, &prices, 1))));
        });
        group.bench_function(BenchmarkId::new("admit and settle", count), |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
    }
    let engine = engine(vec![policy(0)]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                settle(&engine, admit(&engine, &prices, 2));
            }
        });
        group.bench_function("admit and settle, two threads on one budget", |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
        stop.store(true, Ordering::Relaxed);
    });
    group.finish();
    memory(&prices);
}

/// Resident memory of a million keys with a budget each, all of them used in this window.
fn memory(prices: &PriceBook) {
    const KEYS: u128 = 1_000_000;
    let engine = engine(vec![policy(2)]);
    let before = resident_bytes();
    for key in 0..KEYS {
        settle(&engine, admit(&engine, prices, key));
    }
    let used = resident_bytes().saturating_sub(before);
    println!(
        "a million keys, all used: {} bytes a key, {:?}",
        used as u128 / KEYS,
        engine.size()
    );
    engine.sweep(NOW);
    println!("after a sweep: {:?}", engine.size());
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

criterion_group!(benches, decisions);
criterion_main!(benches);
