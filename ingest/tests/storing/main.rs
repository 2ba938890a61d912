//! Events through lanes, flusher and writers into a real database.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

mod kept;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{
    ApiKeyId, Clock, Endpoint, EventStatus, EventType, OrgId, Outcome, ProjectId, RequestId,
    Timestamp, TokenCounts, Usage, UsageEvent, UsageObject, UsageQuality, UserId,
};
use ingest::{Database, Ingest, Lane, Options, SpoolOptions};
use serde_json::json;
use tempfile::TempDir;
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
            raw: UsageObject::parse(br#"{"input_tokens":1}"#).unwrap(),
        },
        cost: domain::Cost::default(),
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        quality: UsageQuality::Exact,
        latency_ms: 7,
        time_to_first_token_ms: Some(8),
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: Some("req_1".to_owned()),
        test: false,
    }
}

fn options(folder: &TempDir, max_pending_events: usize) -> Options {
    Options {
        lanes: 1,
        writers: 2,
        batch_rows: 1_000,
        batch_interval: Duration::from_millis(10),
        max_pending_events,
        spool: SpoolOptions {
            dir: folder.path().join("spool"),
            survives_power_loss: true,
            max_bytes: Some(64 << 20),
            keep: Duration::from_secs(3600),
        },
    }
}

fn tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[expect(clippy::disallowed_methods, reason = "a test's clock")]
fn now() -> Instant {
    Instant::now()
}

fn start(url: &str, options: &Options) -> (Ingest, Lane) {
    let clock: Arc<dyn Clock> = Arc::new(TestClock(now()));
    let database = Database::new(url, tls()).unwrap();
    let (ingest, mut lanes) =
        Ingest::start(options, &database, &clock, &Arc::default(), None).unwrap();
    (ingest, lanes.remove(0))
}

/// Waits for room, and for the event to be durable.
async fn submit(lane: &Lane, event: UsageEvent) {
    let slot = testkit::eventually("there is room", || async { lane.reserve() }).await;
    let ticket = slot.submit(&event);
    let acknowledging = lane.acknowledge();
    tokio::select! {
        () = ticket => {}
        () = acknowledging => {}
    }
}

/// Stores events by way of everything, and reads them back in the order of their ids.
async fn stored(events: Vec<UsageEvent>) -> Vec<Row> {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &options(&folder, 1_000));
    for event in events {
        let slot = testkit::eventually("there is room", || async { lane.reserve() }).await;
        let _ticket = slot.submit(&event);
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let sql = database.connect().await;
    sql.query("SELECT * FROM usage_events ORDER BY request_id", &[])
        .await
        .unwrap()
}

async fn count(sql: &tokio_postgres::Client, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    sql.query_one(&query, &[]).await.unwrap().get(0)
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
        .clone()
        .into();
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
async fn many_events_are_stored_once_each() {
    let events: Vec<_> = (0..10_500).map(|_| event()).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.request_id.0).collect();
    let rows = stored(events).await;
    let stored: Vec<Uuid> = rows.iter().map(|row| row.get("request_id")).collect();
    assert_eq!(stored, ids);
}

#[tokio::test]
async fn what_the_database_does_not_take_waits_on_disk_for_the_next_start() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let link = Link::to(database.address()).await;
    link.cut();
    let url = database.url_at(&link.address());
    let (ingest, lane) = start(&url, &options(&folder, 10));
    for _ in 0..40 {
        submit(&lane, event()).await;
    }
    drop(lane);
    assert_eq!(ingest.finish(Duration::from_secs(10)).await, Ok(40));

    link.restore();
    let (ingest, lane) = start(&url, &options(&folder, 10));
    submit(&lane, event()).await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let sql = database.connect().await;
    assert_eq!(count(&sql, "usage_events").await, 41);
    // With nothing new nothing is stored again.
    let (ingest, lane) = start(&url, &options(&folder, 10));
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&sql, "usage_events").await, 41);
}

#[tokio::test]
async fn memory_is_bounded_and_a_place_that_is_not_used_is_free_again() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &options(&folder, 3));
    let mut slots: Vec<_> = (0..3).map(|_| lane.reserve().unwrap()).collect();
    assert!(lane.reserve().is_none(), "there is no fourth place");
    assert!(ingest.room().is_full());
    // The request failed before it cost anything.
    drop(slots.pop());
    slots.push(lane.reserve().unwrap());
    for slot in slots {
        let _ticket = slot.submit(&event());
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&database.connect().await, "usage_events").await, 3);
}

#[tokio::test]
async fn a_full_spool_takes_nothing_more_until_the_database_is_back() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let link = Link::to(database.address()).await;
    link.cut();
    let mut options = options(&folder, 10_000);
    options.spool.max_bytes = Some(4 << 20);
    options.spool.keep = Duration::from_millis(1);
    let (ingest, lane) = start(&database.url_at(&link.address()), &options);
    let mut submitted = 0;
    while let Some(slot) = lane.reserve() {
        let _ticket = slot.submit(&event());
        submitted += 1;
        assert!(submitted < 20_000, "4 MiB hold less than so many");
        if submitted % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let on_disk = walk(folder.path(), "seg") + walk(folder.path(), "tmp");
    assert!(on_disk <= 4 << 20, "{on_disk} bytes");
    link.restore();
    submit(&lane, event()).await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(
        count(&database.connect().await, "usage_events").await,
        submitted + 1
    );
}

/// Bytes of the files with this ending.
fn walk(folder: &std::path::Path, ending: &str) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            bytes += walk(&entry.path(), ending);
        } else if entry
            .path()
            .extension()
            .is_some_and(|found| found == ending)
        {
            bytes += entry.metadata().unwrap().len();
        }
    }
    bytes
}

/// A gateway of one stream, with three events stored by way of a link.
async fn three_stored() -> (
    testkit::Database,
    tokio_postgres::Client,
    Link,
    TempDir,
    Ingest,
    Lane,
) {
    let database = testkit::Database::migrated().await;
    let sql = database.connect().await;
    let link = Link::to(database.address()).await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        writers: 1,
        ..options(&folder, 10)
    };
    let (ingest, lane) = start(&database.url_at(&link.address()), &options);
    for _ in 0..3 {
        submit(&lane, event()).await;
    }
    testkit::eventually("three rows", || async {
        (count(&sql, "usage_events").await == 3).then_some(())
    })
    .await;
    (database, sql, link, folder, ingest, lane)
}

#[tokio::test]
async fn a_database_that_went_back_in_time_gets_again_what_it_lost() {
    let (_database, sql, link, _folder, ingest, lane) = three_stored().await;
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
        submit(&lane, event()).await;
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&sql, "usage_events").await, 7);
    assert_eq!(
        count(
            &sql,
            "(SELECT DISTINCT request_id FROM usage_events) AS ids"
        )
        .await,
        7
    );
}

#[tokio::test]
async fn a_database_that_forgot_the_stream_gets_all_of_it() {
    let (_database, sql, link, _folder, ingest, lane) = three_stored().await;
    link.cut();
    sql.batch_execute("DELETE FROM usage_events; DELETE FROM ingest_cursor")
        .await
        .unwrap();
    link.restore();
    submit(&lane, event()).await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&sql, "usage_events").await, 4);
}

#[tokio::test]
async fn a_stream_of_which_the_database_knows_more_is_set_aside_and_nothing_new_is_lost() {
    let (_database, sql, link, folder, ingest, lane) = three_stored().await;
    // As if the spool's disk were an older copy.
    link.cut();
    sql.batch_execute("UPDATE ingest_cursor SET seq = 1000")
        .await
        .unwrap();
    link.restore();
    for _ in 0..2 {
        submit(&lane, event()).await;
    }
    let stored = || async { count(&sql, "usage_events").await };
    testkit::eventually("the new ones are stored", || async {
        (stored().await == 5).then_some(())
    })
    .await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let names = std::fs::read_dir(folder.path().join("spool")).unwrap();
    let refused = names.filter(|name| {
        name.as_ref()
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("refused-")
    });
    assert_eq!(refused.count(), 1);
    let cursors = sql
        .query("SELECT seq FROM ingest_cursor ORDER BY seq DESC", &[])
        .await
        .unwrap();
    assert_eq!(
        cursors[0].get::<_, i64>(0),
        1000,
        "the old stream's is as it was"
    );
}

#[tokio::test]
async fn what_the_database_knew_before_is_not_taken_for_what_came_since() {
    let (database, sql, _link, folder, ingest, lane) = three_stored().await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    // Two more than the disk has: a copy of it from before they came.
    sql.batch_execute("UPDATE ingest_cursor SET seq = 5")
        .await
        .unwrap();
    let link = Link::to(database.address()).await;
    link.cut();
    let options = Options {
        writers: 1,
        ..options(&folder, 10)
    };
    // They are numbered 4 to 7, and begin before anybody can ask the database, two by two.
    let (ingest, lane) = start(&database.url_at(&link.address()), &options);
    for _ in 0..2 {
        submit(&lane, event()).await;
    }
    drop(lane);
    // Those that the database has are among them: nobody could ask it.
    assert_eq!(ingest.finish(Duration::from_millis(100)).await, Ok(5));
    let (ingest, lane) = start(&database.url_at(&link.address()), &options);
    for _ in 0..2 {
        submit(&lane, event()).await;
    }
    link.restore();
    testkit::eventually("all four are stored", || async {
        (count(&sql, "usage_events").await == 7).then_some(())
    })
    .await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&sql, "usage_events").await, 7);
}

/// It stored what came since, and left them as they were.
#[tokio::test]
async fn notes_that_an_older_gateway_found_are_not_believed() {
    use std::os::unix::fs::MetadataExt as _;
    let (database, sql, _link, folder, ingest, lane) = three_stored().await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let query = "SELECT stream FROM ingest_cursor";
    let stream: Uuid = sql.query_one(query, &[]).await.unwrap().get(0);
    let spool = folder.path().join("spool");
    let note = spool.join(format!("unconfirmed-{stream}"));
    std::fs::write(&note, "").unwrap();
    let inode = std::fs::metadata(&note).unwrap().ino();
    std::fs::write(&note, format!("1 {inode}")).unwrap();
    std::fs::write(spool.join("lock"), "4711\n").unwrap();
    let options = Options {
        writers: 1,
        ..options(&folder, 10)
    };
    let (ingest, lane) = start(&database.url(), &options);
    submit(&lane, event()).await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&sql, "usage_events").await, 4);
    assert!(!note.exists());
}

#[tokio::test]
async fn a_second_process_takes_the_stream_over_and_the_first_goes_on_in_another() {
    let (_database, sql, link, _folder, ingest, lane) = three_stored().await;
    link.cut();
    sql.batch_execute("UPDATE ingest_cursor SET epoch = epoch + 1")
        .await
        .unwrap();
    link.restore();
    for _ in 0..2 {
        submit(&lane, event()).await;
    }
    let stored = || async { count(&sql, "usage_events").await };
    testkit::eventually("the new ones are stored", || async {
        (stored().await == 5).then_some(())
    })
    .await;
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let cursors = sql
        .query("SELECT seq FROM ingest_cursor ORDER BY epoch DESC", &[])
        .await
        .unwrap();
    assert_eq!(cursors.len(), 2);
    assert_eq!(
        cursors[0].get::<_, i64>(0),
        3,
        "nobody has moved the other process' cursor"
    );
}

#[tokio::test]
async fn rows_that_the_database_refuses_are_set_aside_with_its_reason_and_hold_nobody_up() {
    const GOOD: usize = 3_000;
    let database = testkit::Database::migrated().await;
    let sql = database.connect().await;
    sql.batch_execute(
        "ALTER TABLE usage_events ADD CONSTRAINT no_poison CHECK (model <> 'poison')",
    )
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &options(&folder, 1_000));
    let mut bad = Vec::new();
    for index in 0..GOOD {
        if matches!(index, 0 | 700 | 701 | 2_999) {
            let mut poison = event();
            poison.model = "poison".to_owned();
            bad.push(poison.request_id.0);
            let slot = testkit::eventually("there is room", || async { lane.reserve() }).await;
            let _ticket = slot.submit(&poison);
        }
        let slot = testkit::eventually("there is room", || async { lane.reserve() }).await;
        let _ticket = slot.submit(&event());
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(usize::try_from(count(&sql, "usage_events").await), Ok(GOOD));
    let letters = sql
        .query(
            "SELECT request_id, reason FROM ingest_dead_letters ORDER BY request_id",
            &[],
        )
        .await
        .unwrap();
    let set_aside: Vec<Uuid> = letters.iter().map(|row| row.get(0)).collect();
    assert_eq!(set_aside, bad);
    assert!(
        letters[0].get::<_, String>(1).contains("no_poison"),
        "{:?}",
        letters[0]
    );
}

#[tokio::test]
async fn one_process_at_a_time_has_a_spool() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, 10);
    let (ingest, lane) = start(&database.url(), &options);
    let clock: Arc<dyn Clock> = Arc::new(TestClock(now()));
    let server = Database::new(&database.url(), tls()).unwrap();
    let refused = Ingest::start(&options, &server, &clock, &Arc::default(), None).unwrap_err();
    let holder = format!("process {}", std::process::id());
    assert!(refused.to_string().contains(&holder), "{refused}");
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    let (ingest, lane) = start(&database.url(), &options);
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
}

/// It removes files by their names at its end, which would be the other's by then.
#[tokio::test]
async fn a_process_has_its_spool_until_it_has_finished() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, 10);
    let nowhere = Link::to(database.address()).await;
    nowhere.cut();
    let (ingest, lane) = start(&database.url_at(&nowhere.address()), &options);
    submit(&lane, event()).await;
    drop(lane);
    let clock: Arc<dyn Clock> = Arc::new(TestClock(now()));
    let server = Database::new(&database.url(), tls()).unwrap();
    let is_finished = Cell::new(false);
    let finishing = async {
        let left = ingest.finish(Duration::from_millis(300)).await;
        is_finished.set(true);
        left
    };
    let refusals = async {
        let mut refusals = 0;
        while let Err(_in_use) = Ingest::start(&options, &server, &clock, &Arc::default(), None) {
            refusals += 1;
            tokio::task::yield_now().await;
        }
        assert!(is_finished.get(), "after {refusals} refusals");
        refusals
    };
    let (left, refusals) = tokio::join!(finishing, refusals);
    assert_eq!(left, Ok(1));
    assert!(refusals > 0);
}
