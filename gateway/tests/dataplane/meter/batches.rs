//! The results of message batches: each item is metered once, however often and through whichever gateway it is downloaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::KeyKind;
use http::Method;
use serde_json::{Value, json};
use testkit::scene::text;
use testkit::upstream::whole;
use testkit::{Gateway, Scene, Upstream, eventually};
use tokio::sync::{Notify, mpsc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::MINDWEAVE;
use crate::stage::{gzip, json_answer, message, typed};

pub(super) const BATCHES: &str = "/v1/messages/batches";
pub(super) const RESULTS: &str = "/v1/messages/batches/msgbatch_1/results";

fn lines(items: usize) -> Vec<String> {
    let item = |index: usize| {
        let result = if index == 3 {
            json!({"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "no"}}})
        } else {
            json!({"type": "succeeded", "message": {
                "type": "message", "model": "claude-sonnet-5", "content": [], "stop_reason": "end_turn",
                "usage": {"input_tokens": 1_000_000, "output_tokens": index, "service_tier": "batch"}}})
        };
        format!(
            "{}\n",
            json!({"custom_id": format!("item {index}"), "result": result})
        )
    };
    (0..items).map(item).collect()
}

/// Makes a batch of so many items for everybody who asks, and gives its results in another order each time.
pub(super) async fn upstream(items: usize) -> Upstream {
    let downloads = Arc::new(AtomicUsize::new(0));
    Upstream::start(move |received| {
        let turn = match received.uri.path() {
            RESULTS => downloads.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        async move {
            if received.method == Method::POST {
                return json_answer(
                    200,
                    json!({"id": "msgbatch_1", "type": "message_batch"}).to_string(),
                );
            }
            let mut lines = lines(items);
            lines.rotate_left(turn % items);
            let data = lines.concat();
            let mut answer = typed(200, "application/x-jsonl", whole(data.clone()));
            if turn % 2 == 1 {
                *answer.body_mut() = whole(gzip(data.as_bytes()));
                let headers = answer.headers_mut();
                headers.insert("content-encoding", "gzip".parse().unwrap());
            }
            answer
        }
    })
    .await
}

async fn results(scene: &Scene) -> Vec<Row> {
    let sql = "SELECT *, trim_scale(cost_cents)::text AS cost FROM usage_events
        WHERE metadata ->> 'endpoint' = 'batch_results' ORDER BY metadata ->> 'custom_id'";
    scene.sql.query(sql, &[]).await.unwrap()
}

/// Waits until whatever the gateway has metered is stored.
pub(super) async fn stored(gateway: &Gateway) {
    eventually("the books are balanced", || async {
        let closed = gateway.metric("mindweave_events_closed_total").await;
        let stored = gateway.metric("mindweave_events_stored_total").await;
        (closed > 0.0 && closed == stored).then_some(())
    })
    .await;
}

#[tokio::test]
async fn results_are_metered_once_for_whoever_made_the_batch() {
    let scene = Scene::new().await;
    let upstream = upstream(5).await;
    let first = scene.serve(MINDWEAVE, &upstream).start().await;
    let second = scene.serve(MINDWEAVE, &upstream).start().await;
    let colleagues_key = scene.tenant.key(&scene.sql, KeyKind::Live).await;
    let creator = first.client(&scene.key);
    let made = creator.post(BATCHES, &json!({"requests": []})).await;
    assert_eq!(made.json()["id"], "msgbatch_1");
    stored(&first).await;

    eventually("the other key is known", || async {
        let answer = second.client(&colleagues_key).get("/v1/models").await;
        (answer.status == 200).then_some(())
    })
    .await;
    // At once, and one after the other.
    let colleague = second.client(&colleagues_key);
    let (one, two) = tokio::join!(creator.get(RESULTS), colleague.get(RESULTS));
    let three = second.client(&scene.key).get(RESULTS).await;
    for answer in [one, two, three] {
        assert_eq!(answer.status, 200);
        assert!(!answer.body.is_empty());
    }
    stored(&first).await;
    stored(&second).await;

    let sql = "SELECT api_key_id FROM usage_events WHERE metadata ->> 'endpoint' = 'batches'";
    let creators_key: Uuid = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    let results = results(&scene).await;
    let ids: Vec<_> = results
        .iter()
        .map(|row| row.get::<_, Value>("metadata")["custom_id"].clone())
        .collect();
    assert_eq!(ids, ["item 0", "item 1", "item 2", "item 4"]);
    for row in &results {
        let key: Option<Uuid> = row.get("api_key_id");
        assert_eq!(key, Some(creators_key), "the creator's");
        assert_eq!(row.get::<_, Uuid>("project_id"), scene.tenant.project_id);
        assert_eq!(text(row, "service_tier"), "batch");
        assert_eq!(text(row, "usage_quality"), "exact");
        // Half of 2 dollars, and half of 10 for a million of output tokens.
        let output = f64::from(row.get::<_, i32>("output_tokens"));
        let cost: f64 = row.get::<_, String>("cost").parse().unwrap();
        assert!((cost - (100.0 + output * 0.0005)).abs() < 1e-9, "{cost}");
    }
}

#[tokio::test]
async fn results_of_a_batch_from_elsewhere_are_the_downloaders() {
    let scene = Scene::new().await;
    let upstream = upstream(2).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    gateway.client(&scene.key).get(RESULTS).await;
    stored(&gateway).await;
    let results = results(&scene).await;
    assert_eq!(results.len(), 2);
    assert_eq!(
        results[0].get::<_, Uuid>("project_id"),
        scene.tenant.project_id
    );
}

#[tokio::test]
async fn a_download_waits_for_room_and_loses_nothing() {
    const ITEMS: usize = 60;
    let scene = Scene::new().await;
    let upstream = upstream(ITEMS).await;
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .env("MINDWEAVE_INGEST_MAX_PENDING_EVENTS", "2")
        .start()
        .await;
    let answer = gateway.client(&scene.key).get(RESULTS).await;
    assert_eq!(answer.body, lines(ITEMS).concat());
    stored(&gateway).await;
    assert_eq!(results(&scene).await.len(), ITEMS - 1);
}

/// Read ahead or not, what waits for room is not the end of the answer.
#[tokio::test]
async fn a_download_in_one_piece_waits_for_room_as_well() {
    let scene = Scene::new().await;
    let answer_now = Arc::new(Notify::new());
    let (asked, mut requests) = mpsc::channel(4);
    let wait = Arc::clone(&answer_now);
    let upstream = Upstream::start(move |received| {
        let (wait, asked) = (Arc::clone(&wait), asked.clone());
        async move {
            let path = received.uri.path().to_owned();
            asked.send(path.clone()).await.expect("the test runs");
            if path == RESULTS {
                return typed(200, "application/x-jsonl", whole(lines(2).concat()));
            }
            wait.notified().await;
            json_answer(200, message().to_string())
        }
    })
    .await;
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .env("MINDWEAVE_INGEST_MAX_PENDING_EVENTS", "1")
        .start()
        .await;
    let client = gateway.client(&scene.key);
    let downloader = client.clone();
    let takes_the_place = client.ask();
    let download = async {
        assert_eq!(requests.recv().await.unwrap(), "/v1/messages");
        let download = downloader.get(RESULTS);
        let mut download = std::pin::pin!(download);
        let early = tokio::time::timeout(Duration::from_millis(300), download.as_mut()).await;
        assert!(early.is_err(), "there is no room: {early:?}");
        answer_now.notify_one();
        download.await
    };
    let (answer, download) = tokio::join!(takes_the_place, download);
    assert_eq!(answer.status, 200);
    assert_eq!(download.body, lines(2).concat());
    stored(&gateway).await;
    assert_eq!(results(&scene).await.len(), 2);
}
