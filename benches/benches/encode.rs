//! Encoding an event as a row of binary COPY, into room that is there.
//!
//! Beside it a copy of the encoded row.

use std::hint::black_box;

use benches::events::event;
use benches::policies::NOW;
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn encode(criterion: &mut Criterion) {
    let event = event(7, NOW);
    let mut encoded = BytesMut::new();
    ingest::encode(&event, &mut encoded);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::ElementsAndBytes {
        elements: 1,
        bytes: encoded.len() as u64,
    });
    let mut row = BytesMut::with_capacity(encoded.len());
    group.bench_function("gateway", |bencher| {
        bencher.iter(|| {
            row.clear();
            ingest::encode(black_box(&event), &mut row);
        });
    });
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            row.clear();
            row.extend_from_slice(black_box(&encoded));
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
