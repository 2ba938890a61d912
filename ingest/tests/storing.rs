//! Events through lanes, flusher and writers into a real database.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    ApiKeyId, Clock, Endpoint, EventStatus, EventType, OrgId, Outcome, ProjectId, RequestId,
    Timestamp, TokenCounts, Usage, UsageEvent, UsageQuality, UserId,
};
use ingest::{Database, Ingest, Lane, Options};
use serde_json::json;
use testkit::Link;
use tokio_postgres::Row;
use uuid::Uuid;

#[derive(Debug)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp {
            unix_micros: 1_795_464_001_000_000,
        }
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn event() -> UsageEvent {
    UsageEvent {
        time: Timestamp {
            unix_micros: 1_795_464_001_234_567,
        },
        org_id: OrgId(Uuid::now_v7()),
        project_id: ProjectId(Uuid::now_v7()),
        user_id: Some(UserId(Uuid::now_v7())),
        api_key_id: ApiKeyId(Uuid::now_v7()),
        request_id: RequestId::next(),
        event_type: EventType::Streaming,
        model: "claude-sonnet-5-5".to_owned(),
        usage: Usage {
            tokens: TokenCounts {
                input: 1,
                output: 2,
                cache_read: 3,
                cache_write: 4,
                cache_write_1h: 5,
            },
            web_search_requests: 6,
            service_tier: Some("standard".to_owned()),
            raw: json!({ "input_tokens": 1 }).as_object().unwrap().clone(),
        },
        cost: domain::Cost::default(),
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        quality: UsageQuality::Exact,
        latency_ms: 7,
        time_to_first_token_ms: Some(8),
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: Some("req_1".to_owned()),
        test: false,
    }
}

fn options(max_pending_events: usize) -> Options {
    Options {
        lanes: 1,
        writers: 2,
        batch_rows: 1_000,
        batch_interval: Duration::from_millis(10),
        max_pending_events,
    }
}

fn tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[expect(clippy::disallowed_methods, reason = "a test's clock")]
fn start(url: &str, options: &Options) -> (Ingest, Lane) {
    let clock: Arc<dyn Clock> = Arc::new(TestClock(Instant::now()));
    let (ingest, mut lanes) = Ingest::start(
        options,
        &Database::new(url, tls()).unwrap(),
        &clock,
        &Arc::default(),
    )
    .unwrap();
    (ingest, lanes.remove(0))
}

/// Stores events by way of everything, and reads them back in the order of their ids.
async fn stored(events: Vec<UsageEvent>) -> Vec<Row> {
    let database = testkit::Database::migrated().await;
    let (ingest, lane) = start(&database.url(), &options(events.len()));
    for event in events {
        lane.reserve().unwrap().submit(event);
    }
    drop(lane);
    ingest.finish(testkit::PATIENCE).await.unwrap();
    let sql = database.connect().await;
    sql.query("SELECT * FROM usage_events ORDER BY request_id", &[])
        .await
        .unwrap()
}

#[tokio::test]
async fn every_column_holds_what_the_event_says() {
    let event = event();
    let row = stored(vec![event.clone()]).await.remove(0);
    assert_eq!(
        row.get::<_, chrono::DateTime<chrono::Utc>>("time")
            .timestamp_micros(),
        event.time.unix_micros
    );
    assert_eq!(row.get::<_, Uuid>("org_id"), event.org_id.0);
    assert_eq!(row.get::<_, Uuid>("project_id"), event.project_id.0);
    assert_eq!(
        row.get::<_, Option<Uuid>>("user_id"),
        event.user_id.map(|id| id.0)
    );
    assert_eq!(row.get::<_, Uuid>("api_key_id"), event.api_key_id.0);
    assert_eq!(row.get::<_, Uuid>("request_id"), event.request_id.0);
    assert_eq!(row.get::<_, String>("event_type"), "streaming");
    assert_eq!(row.get::<_, String>("model"), "claude-sonnet-5-5");
    let counts = [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "web_search_requests",
        "latency_ms",
        "time_to_first_token_ms",
    ];
    assert_eq!(
        counts.map(|column| row.get::<_, i32>(column)),
        [1, 2, 3, 4, 5, 6, 7, 8]
    );
    assert_eq!(row.get::<_, String>("usage_quality"), "exact");
    assert_eq!(
        row.get::<_, Option<String>>("service_tier").as_deref(),
        Some("standard")
    );
    assert_eq!(row.get::<_, String>("status"), "success");
    assert_eq!(row.get::<_, Option<String>>("error_code"), None);
    assert_eq!(
        row.get::<_, serde_json::Value>("metadata"),
        json!({ "endpoint": "messages", "upstream_request_id": "req_1", "usage": { "input_tokens": 1 } })
    );
}

#[tokio::test]
async fn what_the_database_would_refuse_is_made_acceptable() {
    let mut hostile = event();
    hostile.user_id = None;
    hostile.model = format!("nul\0{}", "é".repeat(400));
    hostile.usage.tokens.input = u64::MAX;
    hostile.usage.service_tier = Some("x".repeat(400));
    hostile.usage.raw = json!({ "a\0": ["b\0", { "c": "\0" }], "d": 1e300 })
        .as_object()
        .unwrap()
        .clone();
    hostile.time_to_first_token_ms = None;
    hostile.latency_ms = u32::MAX;
    hostile.outcome = Outcome::failure(
        EventStatus::Error,
        &"e".repeat(90),
        Some(&"m\0".repeat(5_000)),
    );
    let row = stored(vec![hostile]).await.remove(0);
    assert_eq!(row.get::<_, String>("model").chars().count(), 255);
    assert!(row.get::<_, String>("model").starts_with("nul\u{fffd}é"));
    assert_eq!(row.get::<_, i32>("input_tokens"), i32::MAX);
    assert_eq!(row.get::<_, i32>("latency_ms"), i32::MAX);
    assert_eq!(row.get::<_, Option<i32>>("time_to_first_token_ms"), None);
    assert_eq!(row.get::<_, String>("error_code").len(), 50);
    assert_eq!(row.get::<_, String>("error_message").chars().count(), 1_000);
    let metadata: serde_json::Value = row.get("metadata");
    assert_eq!(
        metadata["usage"]["a\u{fffd}"],
        json!(["b\u{fffd}", { "c": "\u{fffd}" }])
    );
}

#[tokio::test]
async fn many_events_are_stored_once_each_and_the_cursors_go() {
    let events: Vec<_> = (0..10_500).map(|_| event()).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.request_id.0).collect();
    let rows = stored(events).await;
    let stored: Vec<Uuid> = rows.iter().map(|row| row.get("request_id")).collect();
    assert_eq!(stored, ids);
}

#[tokio::test]
async fn a_full_memory_refuses_until_the_database_is_back() {
    let database = testkit::Database::migrated().await;
    let link = Link::to(database.address()).await;
    link.cut();
    let (ingest, lane) = start(&database.url_at(&link.address()), &options(3));
    for _ in 0..3 {
        lane.reserve().unwrap().submit(event());
    }
    assert!(lane.reserve().is_none(), "there is no fourth place");
    link.restore();
    let slot = testkit::eventually("there is room again", || async { lane.reserve() }).await;
    // The request failed before it cost anything: its place is free for another.
    drop(slot);
    drop(lane);
    ingest.finish(testkit::PATIENCE).await.unwrap();
    let sql = database.connect().await;
    let count: i64 = sql
        .query_one("SELECT count(*) FROM usage_events", &[])
        .await
        .unwrap()
        .get(0);
    let cursors: i64 = sql
        .query_one("SELECT count(*) FROM ingest_cursor", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!((count, cursors), (3, 0));
}

#[tokio::test]
async fn what_could_not_be_stored_in_time_is_counted() {
    let database = testkit::Database::migrated().await;
    let link = Link::to(database.address()).await;
    link.cut();
    let (ingest, lane) = start(&database.url_at(&link.address()), &options(10));
    for _ in 0..4 {
        lane.reserve().unwrap().submit(event());
    }
    drop(lane);
    let unstored = ingest.finish(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(unstored.0, 4);
}

#[tokio::test]
async fn a_database_that_went_back_in_time_does_not_stop_the_writer() {
    let database = testkit::Database::migrated().await;
    let sql = database.connect().await;
    let count = || async {
        let row = sql
            .query_one("SELECT count(*) FROM usage_events", &[])
            .await
            .unwrap();
        row.get::<_, i64>(0)
    };
    let link = Link::to(database.address()).await;
    let options = Options {
        writers: 1,
        ..options(10)
    };
    let (ingest, lane) = start(&database.url_at(&link.address()), &options);
    for _ in 0..3 {
        lane.reserve().unwrap().submit(event());
    }
    testkit::eventually("three rows", || async {
        (count().await == 3).then_some(())
    })
    .await;

    // As after a failover to a standby that had seen one event less.
    link.cut();
    sql.batch_execute(
        "DELETE FROM usage_events WHERE request_id = (SELECT max(request_id::text)::uuid FROM usage_events); \
         UPDATE ingest_cursor SET seq = 2",
    )
    .await
    .unwrap();
    link.restore();
    for _ in 0..4 {
        lane.reserve().unwrap().submit(event());
    }
    drop(lane);
    ingest.finish(testkit::PATIENCE).await.unwrap();
    assert_eq!(count().await, 6, "two that survived and four new ones");
}
