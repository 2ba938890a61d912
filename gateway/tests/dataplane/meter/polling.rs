//! What nobody looks at: the gateway looks itself, where it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::KeyKind;
use http::Method;
use serde_json::{Value, json};
use testkit::upstream::whole;
use testkit::{Scene, Upstream, eventually};

use crate::MINDWEAVE;
use crate::stage::{Seen, json_answer, typed};

const ITEMS: usize = 4;

/// A batch that has ended at the third look, and a session that is over. Its results break off the first time.
async fn upstream(seen: Seen) -> Upstream {
    let (looks, downloads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    Upstream::start(move |received| {
        seen.note(&received);
        let answer = match (received.method.clone(), received.uri.path()) {
            (Method::POST, "/v1/messages/batches") => json!({"id": "msgbatch_1", "type": "message_batch"}),
            (Method::POST, "/v1/files") => json!({"id": "file_1", "type": "file"}),
            (Method::GET, "/v1/messages/batches/msgbatch_1") => {
                let ended = looks.fetch_add(1, Ordering::SeqCst) >= 2;
                json!({"id": "msgbatch_1", "type": "message_batch",
                    "processing_status": if ended { "ended" } else { "in_progress" },
                    "request_counts": {"succeeded": if ended { ITEMS } else { 0 }}})
            }
            (_, "/v1/sessions" | "/v1/sessions/sesn_1") => {
                let usage = if received.method == Method::GET { json!({"input_tokens": 7, "output_tokens": 8}) } else { json!({}) };
                json!({"id": "sesn_1", "type": "session", "status": "terminated", "archived_at": null,
                    "agent": {"model": {"id": "claude-sonnet-5"}}, "usage": usage})
            }
            _ => json!(null),
        };
        let results = received.uri.path().ends_with("/results").then(|| {
            let item = |index: usize| {
                let message = json!({"type": "message", "model": "claude-sonnet-5", "content": [{"type": "text", "text": ""}],
                    "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}});
                let result = json!({"type": "succeeded", "message": message});
                format!("{}\n", json!({"custom_id": index.to_string(), "result": result}))
            };
            let mut all: String = (0..ITEMS).map(item).collect();
            let first = downloads.fetch_add(1, Ordering::SeqCst) == 0;
            // In the middle of a line.
            if first {
                all.truncate(all.len() - 30);
            }
            all
        });
        async move {
            match results {
                Some(lines) => typed(200, "application/x-jsonl", whole(lines)),
                None => json_answer(200, answer.to_string()),
            }
        }
    })
    .await
}

async fn settled(scene: &Scene) -> i64 {
    let sql = "SELECT count(*) FROM upstream_objects WHERE settled_at IS NOT NULL";
    scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_nobody_fetches_is_metered_all_the_same() {
    let scene = Scene::new().await;
    let seen = Seen::default();
    let upstream = upstream(seen.clone()).await;
    let start = || {
        scene
            .serve(MINDWEAVE, &upstream)
            .env("MINDWEAVE_METERING_POLL_INTERVAL", "100ms")
            .start()
    };
    let (gateway, _other) = tokio::join!(start(), start());
    let client = gateway.client(&scene.key);
    for path in ["/v1/messages/batches", "/v1/sessions", "/v1/files"] {
        assert_eq!(client.post(path, &json!({})).await.status, 200);
    }
    eventually("batch and session are settled", || async {
        (settled(&scene).await == 2).then_some(())
    })
    .await;
    let sql = "SELECT metadata ->> 'endpoint', count(*), sum(input_tokens), count(DISTINCT api_key_id), bool_and(cost_cents > 0)
        FROM usage_events WHERE metadata ?| '{batch_id,running_total}' GROUP BY 1 ORDER BY 1";
    let rows = scene.sql.query(sql, &[]).await.unwrap();
    let rows: Vec<(String, i64, i64, i64, bool)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    let items = i64::try_from(ITEMS).unwrap();
    assert_eq!(
        rows,
        [
            ("batch_results".to_owned(), items, items, 1, true),
            ("sessions".to_owned(), 1, 7, 1, true)
        ]
    );
    // With the upstream's key, and as no caller's request.
    let polls: Vec<_> = seen
        .take()
        .into_iter()
        .filter(|got| got.method == Method::GET)
        .collect();
    assert!(polls.iter().all(|got| {
        got.headers["x-api-key"]
            .to_str()
            .unwrap()
            .starts_with("sk-ant-")
    }));
    let polled = r#"mindweave_requests_total{endpoint="batch_results",status="200",reason="ok"}"#;
    assert!(gateway.metric(polled).await.abs() < f64::EPSILON);
}

#[tokio::test]
async fn nobody_looks_unless_told_to() {
    let scene = Scene::new().await;
    let seen = Seen::default();
    let upstream = upstream(seen.clone()).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    gateway
        .client(&scene.key)
        .post("/v1/messages/batches", &json!({}))
        .await;
    let events = scene.events(1).await;
    assert_eq!(events[0].get::<_, Value>("metadata")["endpoint"], "batches");
    assert_eq!(seen.take().len(), 1);
    assert_eq!(settled(&scene).await, 0);
}

#[tokio::test]
async fn batches_of_test_keys_are_let_be() {
    let scene = Scene::new().await;
    let seen = Seen::default();
    let upstream = upstream(seen.clone()).await;
    let key = scene.tenant.key(&scene.sql, KeyKind::Test).await;
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .env("MINDWEAVE_METERING_POLL_INTERVAL", "50ms")
        .start()
        .await;
    let batch = json!({"requests": [{"custom_id": "a", "params": {"model": "claude-sonnet-5", "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hello"}]}}]});
    let made = gateway
        .client(&key)
        .post("/v1/messages/batches", &batch)
        .await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    eventually("it is settled", || async {
        (settled(&scene).await == 1).then_some(())
    })
    .await;
    assert!(seen.take().is_empty());
}
