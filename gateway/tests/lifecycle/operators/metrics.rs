//! The metrics by themselves: all there, explained, and bounded.

use std::collections::BTreeSet;

use http::{Method, Response};
use serde_json::{Value, json};
use testkit::client::question;
use testkit::upstream::whole;
use testkit::{Gateway, Scene, Upstream, eventually};

use crate::MINDWEAVE;
use crate::load::answered;
use crate::stage::Stage;

/// Every metric there is, less those that belong to parts which are not built yet.
const METRICS: [(&str, &str); 24] = [
    ("requests_total", "counter"),
    ("request_duration_seconds", "histogram"),
    ("added_latency_seconds", "histogram"),
    ("time_to_first_token_seconds", "histogram"),
    ("tokens_total", "counter"),
    ("upstream_connections", "gauge"),
    ("open_streams", "gauge"),
    ("keys_loaded", "gauge"),
    ("snapshot_age_seconds", "gauge"),
    ("snapshot_file_faulty", "gauge"),
    ("policy_faults", "gauge"),
    ("events_admitted_total", "counter"),
    ("events_closed_total", "counter"),
    ("events_stored_total", "counter"),
    ("events_dead_letter_total", "counter"),
    ("copy_batch_rows", "histogram"),
    ("copy_duration_seconds", "histogram"),
    ("db_up", "gauge"),
    ("upkeep_lag_seconds", "gauge"),
    ("usage_rollup_lag_seconds", "gauge"),
    ("cost_usd_total", "counter"),
    ("unpriced_events_total", "counter"),
    ("price_file_faulty", "gauge"),
    ("log_errors_total", "counter"),
];

pub(super) async fn scrape(gateway: &Gateway) -> String {
    let answer = gateway.operator().get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The names of all series, labels and all.
fn series(scraped: &str) -> BTreeSet<String> {
    let lines = scraped.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

#[tokio::test]
async fn every_metric_is_there_with_a_type_and_a_word_of_help() {
    let scene = Scene::new().await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    answered(&client.ask().await);
    answered(&client.post("/v1/messages", &question(true)).await);
    scene.events(2).await;
    let text = scrape(&gateway).await;
    for (name, kind) in METRICS {
        let name = format!("mindweave_{name}");
        let help = format!("# HELP {name} ");
        assert!(text.contains(&help), "{name} has no help");
        let kind = format!("# TYPE {name} {kind}\n");
        assert!(text.contains(&kind), "{kind} is missing");
        let has_series = series(&text).iter().any(|series| series.starts_with(&name));
        assert!(has_series, "{name} has no value");
    }
    let ours = |series: &String| series.starts_with("mindweave_");
    assert!(series(&text).iter().all(ours), "{text}");
}

#[tokio::test]
async fn metrics_that_count_from_zero_are_there_before_anything_happened() {
    let stage = Stage::new().await;
    let text = scrape(&stage.gateway).await;
    for name in ["admitted", "closed", "stored", "dead_letter"] {
        let line = format!("mindweave_events_{name}_total 0\n");
        assert!(text.contains(&line), "{line} is missing");
    }
    assert!(text.contains("mindweave_log_errors_total 0\n"));
    assert!(text.contains("mindweave_keys_loaded 1\n"));
}

/// An upstream that answers as whatever model it is asked for.
async fn echo() -> Upstream {
    Upstream::start(|received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let answer = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"],
            "content": [], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 1, "output_tokens": 1 },
        });
        let mut response = Response::new(whole(answer.to_string()));
        let json = "application/json".parse().unwrap();
        response.headers_mut().insert("content-type", json);
        async { response }
    })
    .await
}

/// Everything that a caller can make up, once.
async fn make_up(gateway: &Gateway, key: &str, number: usize) {
    let name = format!("made-up-{number}");
    let client = gateway.client(key);
    let mut body = question(false);
    body["model"] = Value::String(name.clone());
    answered(&client.post("/v1/messages", &body).await);
    client.post(&format!("/v1/{name}"), &body).await;
    client.get(&format!("/v1/messages/batches/{name}")).await;
    client.get(&format!("/{name}")).await;
    let method = Method::from_bytes(format!("MADE{number}").as_bytes()).unwrap();
    client.send(method, "/v1/models", "").await;
    gateway.client(&name).ask().await;
    client.with("user-agent", &name).get("/v1/models").await;
}

#[tokio::test]
async fn nothing_that_callers_make_up_becomes_a_label() {
    let scene = Scene::new().await;
    let gateway = scene.serve(MINDWEAVE, &echo().await).start().await;
    make_up(&gateway, &scene.key, 0).await;
    scene.events(2).await;
    let before = series(&scrape(&gateway).await);
    for number in 1..=200 {
        make_up(&gateway, &scene.key, number).await;
    }
    let text = scrape(&gateway).await;
    assert!(!text.to_lowercase().contains("made"), "{text}");
    let after = series(&text);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    let others = r#"mindweave_tokens_total{model="other",kind="input"} 201"#;
    assert!(text.contains(others), "{text}");
}

#[tokio::test]
async fn the_age_of_the_keys_grows_while_the_database_is_away() {
    let stage = Stage::new().await;
    let age = async || stage.gateway.metric("mindweave_snapshot_age_seconds").await;
    stage.link.cut();
    let at_first = age().await;
    eventually("the keys age", || async {
        (age().await > at_first + 0.5).then_some(())
    })
    .await;
    stage.link.restore();
    eventually("they are fresh again", || async {
        (age().await < 0.5).then_some(())
    })
    .await;
}
