//! Metering an answer: each event of a stream as it passes, whole streams, and answers in one piece.
//!
//! Beside it a copy of the same bytes, which a meter that reads each byte once can't beat by much; and of what is one JSON value,
//! simd-json, which needs all of it at once, in a copy that it may write to.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::hint::black_box;
use std::time::Duration;

use benches::answers::{EVENT_STREAM, JSON, beginning, delta, end, message};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use proxy::AnswerMeter;

const AT: Duration = Duration::from_millis(300);

/// In the middle of a stream, by the event's number of characters.
fn event(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("meter an event");
    for characters in [20, 2_000] {
        let event = delta(characters);
        group.throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: event.len() as u64,
        });
        let mut meter = AnswerMeter::new(EVENT_STREAM, None);
        meter.observe(&beginning(), AT);
        group.bench_function(BenchmarkId::new("gateway", characters), |bencher| {
            bencher.iter(|| meter.observe(black_box(&event), AT));
        });
        let json = event.splitn(2, |byte| *byte == b'{').nth(1).unwrap();
        let json = [b"{", json].concat();
        group.bench_function(BenchmarkId::new("simd-json", characters), |bencher| {
            bencher.iter(|| parse(black_box(&json)));
        });
        let mut copy = Vec::with_capacity(event.len());
        group.bench_function(BenchmarkId::new("memcpy", characters), |bencher| {
            bencher.iter(|| copy_into(&mut copy, black_box(&event)));
        });
    }
    group.finish();
}

/// From the first byte to the figures, by the number of deltas of 20 characters.
fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("meter a stream");
    for deltas in [10, 1_000] {
        let (beginning, delta, end) = (beginning(), delta(20), end());
        let bytes = beginning.len() + deltas * delta.len() + end.len();
        group.throughput(Throughput::ElementsAndBytes {
            elements: deltas as u64,
            bytes: bytes as u64,
        });
        group.bench_function(BenchmarkId::new("gateway", deltas), |bencher| {
            bencher.iter(|| {
                let mut meter = AnswerMeter::new(EVENT_STREAM, None);
                meter.observe(&beginning, AT);
                for _ in 0..deltas {
                    meter.observe(black_box(&delta), AT);
                }
                meter.observe(&end, AT);
                assert!(meter.is_complete());
                meter.finish()
            });
        });
        let mut copy = Vec::with_capacity(bytes);
        group.bench_function(BenchmarkId::new("memcpy", deltas), |bencher| {
            bencher.iter(|| {
                copy_into(&mut copy, black_box(&beginning));
                for _ in 0..deltas {
                    copy_into(&mut copy, black_box(&delta));
                }
                copy_into(&mut copy, black_box(&end));
            });
        });
    }
    group.finish();
}

/// In one piece, by the number of characters of its text.
fn answer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("meter a message");
    for characters in [200, 20_000] {
        let message = message(characters);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(BenchmarkId::new("gateway", characters), |bencher| {
            bencher.iter(|| {
                let mut meter = AnswerMeter::new(JSON, None);
                meter.observe(black_box(&message), AT);
                assert!(meter.is_complete());
                meter.finish()
            });
        });
        group.bench_function(BenchmarkId::new("simd-json", characters), |bencher| {
            bencher.iter(|| parse(black_box(&message)));
        });
        let mut copy = Vec::with_capacity(message.len());
        group.bench_function(BenchmarkId::new("memcpy", characters), |bencher| {
            bencher.iter(|| copy_into(&mut copy, black_box(&message)));
        });
    }
    group.finish();
}

fn parse(json: &[u8]) {
    let mut copy = json.to_vec();
    black_box(simd_json::to_tape(&mut copy).unwrap());
}

/// Into room that is there.
fn copy_into(copy: &mut Vec<u8>, bytes: &[u8]) {
    copy.clear();
    copy.extend_from_slice(bytes);
    black_box(copy);
}

criterion_group!(benches, event, stream, answer);
criterion_main!(benches);
