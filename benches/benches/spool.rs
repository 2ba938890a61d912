//! What it costs to have an event on disk: from handing it over to the word that it is durable, with both durabilities, by
//! requests on one thread that each wait for their own.
//!
//! `cargo bench --bench spool`. The figure is the time an event, with all requests at work.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use domain::{
    ApiKeyId, Clock, Cost, Endpoint, EventType, OrgId, Outcome, ProjectId, RequestId, Timestamp,
    TokenCounts, Usage, UsageEvent, UsageQuality, UserId,
};
use ingest::{Database, Ingest, Lane, Opening, Options, SpoolOptions};
use serde_json::json;
use tokio::task::LocalSet;
use uuid::Uuid;

#[derive(Debug)]
struct BenchClock(Instant);

const NOW: Timestamp = Timestamp {
    unix_micros: 1_795_464_001_234_567,
};

impl Clock for BenchClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn event() -> UsageEvent {
    UsageEvent {
        time: NOW,
        org_id: OrgId(Uuid::from_u128(1)),
        project_id: ProjectId(Uuid::from_u128(2)),
        user_id: Some(UserId(Uuid::from_u128(3))),
        api_key_id: ApiKeyId(Uuid::from_u128(4)),
        request_id: RequestId(Uuid::from_u128(5)),
        event_type: EventType::Streaming,
        model: "claude-sonnet-5-5".to_owned(),
        usage: Usage {
            tokens: TokenCounts {
                input: 1_200,
                output: 400,
                cache_read: 9_000,
                ..TokenCounts::default()
            },
            web_search_requests: 0,
            service_tier: Some("standard".to_owned()),
            raw: json!({"input_tokens": 1200, "output_tokens": 400, "cache_read_input_tokens": 9000, "service_tier": "standard"})
                .as_object()
                .unwrap()
                .clone(),
        },
        cost: Cost::default(),
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        quality: UsageQuality::Exact,
        latency_ms: 2_000,
        time_to_first_token_ms: Some(300),
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".to_owned()),
        test: false,
    }
}

/// One request after the other, as a data-plane thread has them.
async fn requests(lane: Lane, count: u64) {
    for _ in 0..count {
        let event = event();
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
        slot.submit(event).await;
    }
}

async fn durable(lane: &Lane, producers: u64, events: u64) -> Duration {
    let set = LocalSet::new();
    set.run_until(async {
        let acknowledging = lane.clone();
        let acknowledging =
            tokio::task::spawn_local(async move { acknowledging.acknowledge().await });
        let started = Instant::now();
        let producers: Vec<_> = (0..producers)
            .map(|_| tokio::task::spawn_local(requests(lane.clone(), events.div_ceil(producers))))
            .collect();
        for producer in producers {
            producer.await.unwrap();
        }
        let took = started.elapsed();
        acknowledging.abort();
        took
    })
    .await
}

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for (name, survives_power_loss) in [("fsync", true), ("process", false)] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            lanes: 1,
            writers: 2,
            batch_rows: 5_000,
            batch_interval: Duration::from_millis(200),
            max_pending_events: 10_000,
            spool: SpoolOptions {
                dir: folder.path().join("spool"),
                survives_power_loss,
                max_bytes: Some(16 << 30),
                keep: Duration::from_secs(1),
            },
        };
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        // Nobody listens there: the writers take no part.
        let database = Database::new("postgres://127.0.0.1:1/none", tls).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(BenchClock(Instant::now()));
        let (ingest, mut lanes) = runtime
            .block_on(async { Ingest::start(&options, &database, &clock, &Arc::default(), None) })
            .unwrap();
        let lane = lanes.remove(0);
        for producers in [1, 16, 128] {
            group.bench_function(BenchmarkId::new(name, producers), |bencher| {
                bencher.iter_custom(|events| runtime.block_on(durable(&lane, producers, events)));
            });
        }
        drop(lane);
        let _waiting = runtime.block_on(ingest.finish(Duration::from_secs(10)));
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
