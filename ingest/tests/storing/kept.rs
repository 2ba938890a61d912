//! With durability `process` an event is durable where its lane keeps it, before it is in the spool.

use std::path::Path;

use ingest::Opening;

use super::*;

fn kept_options(folder: &TempDir) -> Options {
    let mut options = options(folder, 10_000);
    options.spool.survives_power_loss = false;
    options
}

fn opening(event: &UsageEvent) -> Opening<'_> {
    Opening {
        request_id: event.request_id,
        time: event.time,
        org_id: event.org_id,
        project_id: event.project_id,
        user_id: event.user_id,
        api_key_id: event.api_key_id,
        endpoint: event.endpoint,
        model: &event.model,
        test: event.test,
    }
}

/// What another process would find if this one were killed now: mapped files are read before the spool that they are emptied into.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort_by_key(|path| path.is_dir());
    for path in entries {
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            std::fs::copy(&path, place).unwrap();
        }
    }
}

#[tokio::test]
async fn an_event_is_durable_at_once_and_found_again_once_at_any_moment() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Link::to(database.address()).await;
    nowhere.cut();
    let (ingest, lane) = start(&database.url_at(&nowhere.address()), &kept_options(&folder));
    let running = event();
    let _running = lane.admit(&opening(&running)).unwrap();
    let mut ended = Vec::new();
    let mut found = Vec::new();
    for round in 0..5 {
        for _ in 0..100 {
            let event = event();
            let slot = lane.admit(&opening(&event)).unwrap();
            assert!(slot.submit(&event).is_durable());
            ended.push(event.request_id.0);
        }
        // Some moments apart: with some still kept, with some in the spool, with some in both.
        tokio::time::sleep(Duration::from_millis(4 * round)).await;
        let killed = tempfile::tempdir().unwrap();
        copy(&folder.path().join("spool"), &killed.path().join("spool"));
        let database = testkit::Database::migrated().await;
        let (ingest, lane) = start(&database.url(), &kept_options(&killed));
        drop(lane);
        assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
        let sql = "SELECT request_id, error_code FROM usage_events";
        found = database.connect().await.query(sql, &[]).await.unwrap();
        let (interrupted, whole): (Vec<_>, Vec<_>) = found
            .iter()
            .map(|row| (row.get::<_, Uuid>(0), row.get::<_, Option<String>>(1)))
            .partition(|(_, code)| code.is_some());
        assert_eq!(
            interrupted,
            [(running.request_id.0, Some("gateway_interrupted".to_owned()))]
        );
        let mut whole: Vec<_> = whole.into_iter().map(|(id, _)| id).collect();
        whole.sort_unstable();
        assert_eq!(whole, ended, "round {round}");
    }
    assert_eq!(found.len(), 501);
    drop((_running, lane));
    let left = ingest.finish(Duration::from_millis(100)).await;
    assert_eq!(left, Ok(500));
    assert_eq!(
        walk(folder.path(), "slots"),
        0,
        "nothing is left to recover"
    );
}

#[tokio::test]
async fn what_is_not_kept_is_waited_for_and_by_all_that_follow() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &kept_options(&folder));
    let mut long = event();
    let text = json!({ "text": "x".repeat(5_000) });
    long.usage.raw = text.as_object().unwrap().clone().into();
    let acknowledging = lane.acknowledge();
    let submitting = async {
        for event in [event(), long, event()] {
            let slot = lane.admit(&opening(&event)).unwrap();
            slot.submit(&event).await;
        }
    };
    tokio::select! {
        () = submitting => {}
        () = acknowledging => {}
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&database.connect().await, "usage_events").await, 3);
}

/// Each of them has a task of its own: one wakes nobody but itself.
#[tokio::test]
async fn whoever_waits_for_the_same_event_is_woken() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &kept_options(&folder));
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let acknowledging = lane.clone();
            let acknowledging =
                tokio::task::spawn_local(async move { acknowledging.acknowledge().await });
            for _ in 0..50 {
                let mut long = event();
                let text = json!({ "text": "x".repeat(5_000) });
                long.usage.raw = text.as_object().unwrap().clone().into();
                let events = [long, event(), event()];
                let slots: Vec<_> = events
                    .iter()
                    .map(|event| lane.admit(&opening(event)).unwrap())
                    .collect();
                let waiting: Vec<_> = slots
                    .into_iter()
                    .zip(&events)
                    .map(|(slot, event)| tokio::task::spawn_local(slot.submit(event)))
                    .collect();
                for waiting in waiting {
                    let waiting = tokio::time::timeout(testkit::PATIENCE, waiting);
                    waiting.await.expect("everybody is woken").unwrap();
                }
            }
            acknowledging.abort();
            let _ended = acknowledging.await;
        })
        .await;
    drop((local, lane));
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(count(&database.connect().await, "usage_events").await, 150);
}

/// Nothing is left to be recovered, though no request comes any more.
#[tokio::test]
async fn a_lane_without_requests_lets_go_of_what_is_in_the_spool() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let (ingest, lane) = start(&database.url(), &kept_options(&folder));
    let event = event();
    let slot = lane.admit(&opening(&event)).unwrap();
    assert!(slot.submit(&event).is_durable());
    let spool = folder.path().join("spool");
    let states = || async {
        let taken = ["open-0.slots", "kept-0.slots"].map(|name| {
            let bytes = std::fs::read(spool.join(name)).unwrap();
            bytes.iter().step_by(256).any(|state| *state != 0)
        });
        (taken == [false; 2]).then_some(())
    };
    let acknowledging = lane.acknowledge();
    tokio::select! {
        () = testkit::eventually("the places are free", states) => {}
        () = acknowledging => {}
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
}

#[tokio::test]
async fn more_than_are_kept_are_waited_for() {
    let database = testkit::Database::migrated().await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = kept_options(&folder);
    options.spool.max_bytes = Some(1 << 30);
    let (ingest, lane) = start(&database.url(), &options);
    let events: Vec<_> = (0..5_000).map(|_| event()).collect();
    let mut slots = Vec::new();
    for event in &events {
        let admit = || async { lane.admit(&opening(event)) };
        slots.push(testkit::eventually("there is room", admit).await);
    }
    // No place is let go before the next slot is asked for.
    let tickets: Vec<_> = slots
        .into_iter()
        .zip(&events)
        .map(|(slot, event)| slot.submit(event))
        .collect();
    let acknowledging = lane.acknowledge();
    let waiting = async {
        for ticket in tickets {
            ticket.await;
        }
    };
    tokio::select! {
        () = waiting => {}
        () = acknowledging => {}
    }
    drop(lane);
    assert_eq!(ingest.finish(testkit::PATIENCE).await, Ok(0));
    assert_eq!(
        count(&database.connect().await, "usage_events").await,
        5_000
    );
}
