//! Deciding about a request by rules that say what may be asked, more and more of them, none of which holds anything; what
//! budgets add is `reserve`'s. And what ten policies of each kind cost, limits among them.
//!
//! Beside it what it can't do without: one read of a `DashMap` for the project's rules.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::hint::black_box;
use std::sync::Arc;

use benches::policies::{self, admit, engine, rule, settle};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashMap;
use domain::{PriceBook, ProjectId};
use uuid::Uuid;

fn evaluate(criterion: &mut Criterion) {
    let prices = PriceBook::embedded().unwrap();
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(1));
    for count in [0, 10, 100] {
        let rules: Vec<_> = (0..count).map(rule).collect();
        let engine = engine(rules.clone());
        group.bench_function(BenchmarkId::new("gateway", count), |bencher| {
            bencher.iter(|| drop(black_box(admit(&engine, &prices, 1))));
        });
        let project = ProjectId(Uuid::nil());
        let projects: DashMap<_, _> = DashMap::from_iter([(project, Arc::new(rules))]);
        group.bench_function(BenchmarkId::new("DashMap", count), |bencher| {
            bencher.iter(|| {
                let rules = projects.get(black_box(&project))?;
                Some(Arc::clone(rules.value()))
            });
        });
    }
    group.finish();
}

/// Ten policies of a kind, held on and settled where they are limits.
fn kinds(criterion: &mut Criterion) {
    let prices = PriceBook::embedded().unwrap();
    let mut group = criterion.benchmark_group("ten of a kind");
    group.throughput(Throughput::Elements(10));
    for (name, kind, rules) in policies::kinds() {
        let policies = (0..10).map(|number| policies::source(number, kind, rules.clone()));
        let engine = engine(policies.collect());
        group.bench_function(BenchmarkId::new("gateway", name), |bencher| {
            bencher.iter(|| settle(&engine, admit(&engine, &prices, 1)));
        });
    }
    group.finish();
}

criterion_group!(benches, evaluate, kinds);
criterion_main!(benches);
