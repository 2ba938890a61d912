//! Finding the top-level members of a request's body, and what `model` and `stream` say: the gateway's scan, which skips
//! over the rest of the text.
//!
//! Beside it simd-json, which needs a copy that it may write to and builds a tape of all of it, and a copy of the same bytes.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::hint::black_box;

use benches::bodies::conversation;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[derive(serde::Deserialize)]
struct TopLevel<'a> {
    model: &'a str,
    #[serde(default)]
    stream: bool,
}

fn inspect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inspect");
    for bytes in [1 << 10, 200 << 10, 5 << 20] {
        let body = Bytes::from(conversation(bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("gateway", bytes), |bencher| {
            bencher.iter(|| proxy::inspect(black_box(&body).clone()).unwrap());
        });
        group.bench_function(BenchmarkId::new("simd-json", bytes), |bencher| {
            bencher.iter(|| {
                let mut copy = black_box(&body).to_vec();
                let found: TopLevel<'_> = simd_json::from_slice(&mut copy).unwrap();
                (found.model.to_owned(), found.stream)
            });
        });
        group.bench_function(BenchmarkId::new("memcpy", bytes), |bencher| {
            bencher.iter(|| black_box(&body).to_vec());
        });
    }
    group.finish();
}

criterion_group!(benches, inspect);
criterion_main!(benches);
