//! Holding what a request will probably use on every budget that counts it, all or none, and settling it: with more and more
//! budgets, and with a second thread at work on the same. Last, printed, the memory of a million keys with a budget each.
//!
//! Beside it the sums alone: a map of counters behind one lock, each read and changed once to hold and once to settle.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't run says so"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use benches::policies::{NOW, admit, budget, engine, settle};
use benches::run;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::PriceBook;
use uuid::Uuid;

#[derive(Default)]
struct Counter {
    held: u64,
    spent: u64,
}

fn reserve(criterion: &mut Criterion) {
    let prices = PriceBook::embedded().unwrap();
    let mut group = criterion.benchmark_group("reserve");
    group.throughput(Throughput::Elements(1));
    for count in [1, 4, 16] {
        let engine = engine((0..count).map(budget).collect());
        group.bench_function(BenchmarkId::new("gateway", count), |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    settle(&engine, admit(&engine, &prices, 2));
                }
            });
            group.bench_function(BenchmarkId::new("gateway, two threads", count), |bencher| {
                bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
            });
            stop.store(true, Ordering::Relaxed);
        });
        let ids: Vec<_> = (0..count as u128).map(Uuid::from_u128).collect();
        let counters: HashMap<_, _> = ids.iter().map(|id| (*id, Counter::default())).collect();
        let counters = Mutex::new(counters);
        group.bench_function(BenchmarkId::new("HashMap", count), |bencher| {
            bencher.iter(|| {
                change(&counters, &ids, |counter| counter.held += black_box(500));
                change(&counters, &ids, |counter| {
                    counter.held -= black_box(500);
                    counter.spent = counter.spent.wrapping_add(black_box(300));
                });
            });
        });
    }
    group.finish();
    memory(&prices);
}

fn change(counters: &Mutex<HashMap<Uuid, Counter>>, ids: &[Uuid], change: impl Fn(&mut Counter)) {
    let mut counters = counters.lock().unwrap();
    ids.iter()
        .for_each(|id| change(counters.get_mut(id).unwrap()));
}

/// Resident memory of a million keys with a budget each, all of them used in this window.
fn memory(prices: &PriceBook) {
    let keys: usize = if run::is_trial() { 1_000 } else { 1_000_000 };
    let engine = engine(vec![budget(1)]);
    let before = resident_bytes();
    for key in 0..keys {
        settle(&engine, admit(&engine, prices, key as u128));
    }
    let used = resident_bytes().saturating_sub(before);
    println!(
        "{keys} keys, all used: {} bytes a key, {:?}",
        used / keys,
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

criterion_group!(benches, reserve);
criterion_main!(benches);
