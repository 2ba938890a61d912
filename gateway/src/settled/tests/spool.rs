use std::sync::Arc;
use std::time::Duration;

use domain::{
    ApiKeyId, Cost, Endpoint, EventType, OrgId, Outcome, Picodollars, ProjectId, RequestId,
    Timestamp, TokenCounts, Usage, UsageEvent, UsageQuality, UserId,
};
use ingest::{Ingest, Lane, Options, SpoolOptions};
use policy_engine::{Amounts, Engine, Settled, Window};
use tempfile::TempDir;
use testkit::{Database, Link, eventually};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::super::Settling;
use crate::{clock, tls};

const EVENTS: u64 = 200;

/// A spool, and a database behind a link.
struct Bench {
    database: Database,
    link: Link,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let database = Database::migrated().await;
        Self {
            link: Link::to(database.address()).await,
            database,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn connecting(&self) -> ingest::Database {
        let url = self.database.url_at(&self.link.address());
        ingest::Database::new(&url, tls::client()).unwrap()
    }

    /// A process' way of events, in small batches.
    fn start(&self) -> (Ingest, Lane) {
        let options = Options {
            lanes: 1,
            writers: 2,
            batch_rows: 7,
            batch_interval: Duration::ZERO,
            max_pending_events: 1_000,
            spool: SpoolOptions {
                dir: self.folder.path().join("spool"),
                survives_power_loss: false,
                max_bytes: Some(64 << 20),
                keep: Duration::from_secs(3_600),
            },
        };
        let (database, clock) = (self.connecting(), clock::system());
        let started = Ingest::start(&options, &database, &clock, &Arc::default(), None);
        let (ingest, mut lanes) = started.unwrap();
        (ingest, lanes.remove(0))
    }

    async fn stored(&self) -> i64 {
        let sql = self.database.connect().await;
        let query = "SELECT count(*) FROM usage_events";
        sql.query_one(query, &[]).await.unwrap().get(0)
    }

    fn settling(&self, ingest: &Ingest, before: Timestamp) -> Settling {
        Settling {
            database: self.connecting(),
            spooled: ingest.spooled(),
            engine: Arc::new(Engine::new(clock::system())),
            state: Arc::default(),
            before,
            tasks: TaskTracker::new(),
        }
    }
}

fn event(number: u64, time: Timestamp) -> UsageEvent {
    UsageEvent {
        time,
        org_id: OrgId(Uuid::from_u128(1)),
        project_id: ProjectId(Uuid::from_u128(2)),
        user_id: Some(UserId(Uuid::from_u128(3))),
        api_key_id: ApiKeyId(Uuid::from_u128(4)),
        request_id: RequestId::next(),
        event_type: EventType::ApiCall,
        model: "claude-a".to_owned(),
        usage: Usage {
            tokens: TokenCounts {
                input: number,
                output: 1,
                cache_read: 1_000,
                cache_write: 1_000_000,
                cache_write_1h: 5,
            },
            ..Usage::default()
        },
        cost: Cost {
            amount: Picodollars(1_000_000_000_000 + number),
            ..Cost::default()
        },
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        quality: UsageQuality::Exact,
        latency_ms: 7,
        time_to_first_token_ms: None,
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: None,
        test: number.is_multiple_of(10),
    }
}

/// All that is no test's, in each of these windows.
fn expected(before: Timestamp) -> Vec<Settled> {
    let counted = (1..=EVENTS).filter(|number| !number.is_multiple_of(10));
    let (requests, numbers) = counted.fold((0, 0), |(count, sum), n| (count + 1, sum + n));
    let settled = |window: Window| Settled {
        org_id: OrgId(Uuid::from_u128(1)),
        project_id: ProjectId(Uuid::from_u128(2)),
        key_id: Some(ApiKeyId(Uuid::from_u128(4))),
        user_id: Some(UserId(Uuid::from_u128(3))),
        model: "claude-a".to_owned(),
        window,
        index: window.index(before),
        amounts: Amounts {
            input_tokens: requests * 1_001_000 + numbers,
            output_tokens: requests,
            requests,
            cost: requests * 1_000_000_000_000 + numbers,
        },
    };
    let windows = [Window::Hour, Window::Day, Window::Week, Window::Month];
    windows.map(settled).into()
}

/// Some moment of the present hour, and the hour's last.
fn moments() -> (Timestamp, Timestamp) {
    let hour = Window::Hour.index(clock::system().now());
    let at = Window::Hour.start(hour);
    let end = Window::Hour.start(hour + 1).unix_micros - 1;
    (at, Timestamp { unix_micros: end })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_stored_meanwhile_every_event_counts_once() {
    let bench = Bench::new().await;
    let (at, before) = moments();
    let (ingest, lane) = bench.start();
    for number in 1..=EVENTS {
        if number == EVENTS / 2 {
            bench.link.cut();
        }
        let slot = eventually("there is room", || async { lane.reserve() }).await;
        let ticket = slot.submit(&event(number, at));
        tokio::select! {
            () = ticket => {}
            () = lane.acknowledge() => {}
        }
    }
    drop(lane);
    let waiting = ingest.finish(testkit::PATIENCE).await.unwrap();
    assert!(waiting > 0, "some of it waits");

    let (ingest, lane) = bench.start();
    let settling = bench.settling(&ingest, before);
    // What this process appends is its own to count.
    let slot = eventually("there is room", || async { lane.reserve() }).await;
    let own = Timestamp {
        unix_micros: before.unix_micros + 1,
    };
    drop(slot.submit(&event(1, own)));
    bench.link.restore();
    eventually("all of it is stored", || async {
        assert_eq!(settling.read().await.settled, expected(before));
        let now = bench.stored().await;
        (now > EVENTS.cast_signed()).then_some(())
    })
    .await;
    assert_eq!(settling.read().await.settled, expected(before));
    drop(lane);
    ingest.finish(testkit::PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_waited_for() {
    let bench = Bench::new().await;
    bench.link.cut();
    let (ingest, lane) = bench.start();
    let (_, before) = moments();
    let settling = bench.settling(&ingest, before);
    let reading = settling.read();
    let restoring = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.link.restore();
    };
    let (sum, ()) = tokio::join!(reading, restoring);
    assert_eq!(sum.settled, []);
    drop(lane);
    ingest.finish(testkit::PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_stays_unreadable_is_left_out_in_the_end() {
    let bench = Bench::new().await;
    bench.link.cut();
    let (at, before) = moments();
    let (ingest, lane) = bench.start();
    let slot = eventually("there is room", || async { lane.reserve() }).await;
    let ticket = slot.submit(&event(1, at));
    tokio::select! {
        () = ticket => {}
        () = lane.acknowledge() => {}
    }
    drop(lane);
    ingest.finish(Duration::ZERO).await.unwrap();
    let (ingest, lane) = bench.start();
    let spool = bench.folder.path().join("spool");
    for stream in std::fs::read_dir(&spool).unwrap().flatten() {
        if !stream.path().is_dir() {
            continue;
        }
        for segment in std::fs::read_dir(stream.path()).unwrap().flatten() {
            std::fs::rename(segment.path(), segment.path().with_extension("away")).unwrap();
        }
    }
    let settling = bench.settling(&ingest, before);
    let sql = ingest::Database::new(&bench.database.url(), tls::client()).unwrap();
    let settling = Settling {
        database: sql,
        ..settling
    };
    assert_eq!(settling.read().await.settled, []);
    drop((ingest, lane));
}
