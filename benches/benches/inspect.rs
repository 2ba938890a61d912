//! Finding the top-level members of a request's body, and what `model` and `stream` say: the gateway's scan, which skips
//! over the rest of the text, beside simd-json, which needs a copy that it may write to and builds a tape of all of it.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark; criterion's macros make undocumented items"
)]

use std::fmt::Write as _;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A conversation of about `bytes` bytes, the model behind it as the Python SDK has it.
fn conversation(bytes: usize) -> Vec<u8> {
    let turn = "It was late, and \\\"nobody\\\" knew the way;\\nthe lamps went out one by one. "
        .repeat(12);
    let mut body = String::from(r#"{"max_tokens":1024,"messages":["#);
    while body.len() < bytes {
        write!(
            body,
            r#"{{"role":"user","content":[{{"type":"text","text":"{turn}"}}]}},"#
        )
        .unwrap();
    }
    body.push_str(
        r#"{"role":"user","content":"And then?"}],"model":"claude-sonnet-5-5","stream":true}"#,
    );
    body.into_bytes()
}

#[derive(serde::Deserialize)]
struct TopLevel<'a> {
    model: &'a str,
    #[serde(default)]
    stream: bool,
}

fn inspect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inspect");
    for bytes in [1 << 10, 200 << 10, 5 << 20] {
        let body = conversation(bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("gateway", bytes),
            &Bytes::from(body.clone()),
            |bencher, body| {
                bencher.iter(|| proxy::inspect(black_box(body).clone()).unwrap());
            },
        );
        group.bench_with_input(
            BenchmarkId::new("simd-json", bytes),
            &body,
            |bencher, body| {
                bencher.iter(|| {
                    let mut copy = black_box(body).clone();
                    let found: TopLevel<'_> = simd_json::from_slice(&mut copy).unwrap();
                    (found.model.to_owned(), found.stream)
                });
            },
        );
        group.bench_with_input(BenchmarkId::new("memcpy", bytes), &body, |bencher, body| {
            bencher.iter(|| black_box(body).clone());
        });
    }
    group.finish();
}

criterion_group!(all, inspect);
criterion_main!(all);
