//! The life of a batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use simulator::Options;

use crate::client::{Running, message};

const BATCHES: &str = "/v1/messages/batches";

fn batch() -> Value {
    json!({"requests": [
        {"custom_id": "good", "params": message(&json!({}))},
        {"custom_id": "bad", "params": message(&json!({"model": "claude-opus-5@invalid"}))},
    ]})
}

#[tokio::test]
async fn a_batch_runs_ends_and_gives_its_results() {
    let simulator = Running::start().await;
    let made = simulator.post(BATCHES, &batch(), &[]).await.json();
    let path = format!("{BATCHES}/{}", made["id"].as_str().unwrap());
    assert_eq!(
        (&made["processing_status"], &made["results_url"]),
        (&json!("in_progress"), &Value::Null)
    );
    assert_eq!(simulator.get(&format!("{path}/results")).await.status, 404);
    assert_eq!(
        simulator.get(&path).await.json()["processing_status"],
        "in_progress"
    );
    let ended = simulator.get(&path).await.json();
    assert_eq!(ended["processing_status"], "ended");
    assert_eq!(
        ended["request_counts"],
        json!({"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0})
    );
    let url = format!("http://{}{path}/results", simulator.address);
    assert_eq!(ended["results_url"], url);

    let results = simulator.get(&format!("{path}/results")).await;
    assert_eq!(results.header("content-type"), Some("application/x-jsonl"));
    let text = String::from_utf8(results.body()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["custom_id"], "good");
    assert_eq!(
        lines[0]["result"]["message"]["usage"]["service_tier"],
        "batch"
    );
    assert_eq!(lines[1]["result"]["type"], "errored");
    assert_eq!(
        lines[1]["result"]["error"]["error"]["type"],
        "invalid_request_error"
    );

    assert_eq!(
        simulator.delete(&path).await.json()["type"],
        "message_batch_deleted"
    );
    assert_eq!(simulator.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_canceled_batch_has_canceled_items() {
    let simulator = Running::start().await;
    let made = simulator.post(BATCHES, &batch(), &[]).await.json();
    let path = format!("{BATCHES}/{}", made["id"].as_str().unwrap());
    assert_eq!(simulator.delete(&path).await.status, 400);
    let canceled = simulator
        .post(&format!("{path}/cancel"), &json!({}), &[])
        .await
        .json();
    assert_eq!(canceled["processing_status"], "canceling");
    assert_eq!(
        simulator.get(&path).await.json()["request_counts"]["canceled"],
        2
    );
    let results = simulator.get(&format!("{path}/results")).await.body();
    assert_eq!(
        results
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .count(),
        2
    );
}

#[tokio::test]
async fn equal_batches_are_two_and_list_newest_first() {
    let simulator = Running::start().await;
    let first = simulator.post(BATCHES, &batch(), &[]).await.json();
    let second = simulator.post(BATCHES, &batch(), &[]).await.json();
    assert_ne!(first["id"], second["id"]);
    let list = simulator.get(&format!("{BATCHES}?limit=1")).await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["has_more"]),
        (&second["id"], &json!(true))
    );
}

#[tokio::test]
async fn a_delayed_batch_ends_by_the_clock() {
    static SECONDS: AtomicU64 = AtomicU64::new(1_000);
    let options = Options {
        base_url_override: Some("https://api.anthropic.com/".to_owned()),
        clock: || SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS.load(Ordering::SeqCst)),
        ..Options::default()
    };
    let simulator = Running::with(options, false).await;
    let made = simulator
        .post(BATCHES, &batch(), &[("batch-delay-ms", "5000")])
        .await
        .json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["created_at"], "1970-01-01T00:16:40Z");
    for _ in 0..3 {
        let waiting = simulator.get(&format!("{BATCHES}/{id}")).await.json();
        assert_eq!(waiting["processing_status"], "in_progress");
    }
    SECONDS.store(1_005, Ordering::SeqCst);
    let ended = simulator.get(&format!("{BATCHES}/{id}")).await.json();
    assert_eq!(ended["ended_at"], "1970-01-01T00:16:45Z");
    let url = format!("https://api.anthropic.com{BATCHES}/{id}/results");
    assert_eq!(ended["results_url"], url);
}
