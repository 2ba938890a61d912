//! The log: it can be read by machines, and it tells nothing that is nobody's business.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Response, StatusCode};
use serde_json::{Value, json};
use testkit::gateway::UPSTREAM_KEY;
use testkit::upstream::whole;
use testkit::{Client, Gateway, Link, Scene, Upstream, eventually};

use crate::MINDWEAVE;
use crate::stage::Stage;

const PROMPT: &str = "the prompt that is nobody's business";
const ANSWER: &str = "the answer that is nobody's business";
const PASSWORD: &str = "the-password-of-the-database";
const STRANGER: &str = "mw_sk_live_a_key_that_nobody_made";

/// Answers well and badly by turns, in words that nobody else shall read.
async fn talkative() -> Upstream {
    let turn = AtomicUsize::new(0);
    Upstream::start(move |_| {
        let fails = turn.fetch_add(1, Ordering::SeqCst) % 3 == 2;
        let body = if fails {
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": ANSWER}})
        } else {
            json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
                "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 1},
            })
        };
        let mut response = Response::new(whole(body.to_string()));
        if fails {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        let json = "application/json".parse().unwrap();
        response.headers_mut().insert("content-type", json);
        async { response }
    })
    .await
}

/// Asks in every way that might be worth a line.
async fn converse(gateway: &Gateway, key: &str) {
    let origin = gateway.ready_text("proxy_url");
    let body = json!({
        "model": "claude-sonnet-5", "max_tokens": 1,
        "messages": [{"role": "user", "content": PROMPT}],
    });
    for client in [Client::new(origin, key), Client::http2(origin, key)] {
        for _ in 0..3 {
            client.post("/v1/messages", &body).await;
        }
        client.post("/v1/messages/count_tokens", &body).await;
        client
            .post("/v1/messages", &Value::String(PROMPT.to_owned()))
            .await;
    }
    let bearer = Client::new(origin, "").with("authorization", &format!("Bearer {key}"));
    bearer.post("/v1/messages", &body).await;
    Client::new(origin, STRANGER)
        .post("/v1/messages", &body)
        .await;
    let both = Client::new(origin, key).with("authorization", &format!("Bearer {STRANGER}"));
    both.post("/v1/messages", &body).await;
}

async fn keeps_secrets(level: &str) {
    let scene = Scene::new().await;
    let link = Link::to(scene.database.address()).await;
    let url = scene.database.url_at(&link.address());
    let url = url.replacen('@', &format!(":{PASSWORD}@"), 1);
    let gateway = scene
        .serve(MINDWEAVE, &talkative().await)
        .env("MINDWEAVE_DATABASE_URL", &url)
        .env("MINDWEAVE_LOG_LEVEL", level)
        .start()
        .await;
    converse(&gateway, &scene.key).await;
    link.cut();
    converse(&gateway, &scene.key).await;
    eventually("the outage is logged", || async {
        let log = gateway.log();
        log.contains("can't be stored").then_some(())
    })
    .await;
    link.restore();
    gateway.wait_until_ready().await;

    let log = gateway.log();
    assert!(
        log.contains(&level.to_uppercase()),
        "nothing at level {level}"
    );
    for secret in [&scene.key, UPSTREAM_KEY, PROMPT, ANSWER, PASSWORD, STRANGER] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "`{secret}` is in the log");
    }
}

#[tokio::test]
async fn the_log_keeps_secrets_at_level_debug() {
    keeps_secrets("debug").await;
}

#[tokio::test]
async fn the_log_keeps_secrets_at_level_trace() {
    keeps_secrets("trace").await;
}

#[tokio::test]
async fn the_log_in_json_can_be_read_line_by_line_and_its_errors_are_counted() {
    let stage = Stage::configured(|builder| builder.env("MINDWEAVE_LOG_FORMAT", "json")).await;
    stage.link.cut();
    stage.client().ask().await;
    let counted = async || stage.gateway.metric("mindweave_log_errors_total").await;
    eventually("an error is counted", || async {
        (counted().await > 0.0).then_some(())
    })
    .await;
    stage.link.restore();
    stage.books_balance(1).await;
    // Each writer says so for itself.
    let errors = counted().await;
    let mut gateway = stage.gateway;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let lines: Vec<Value> = gateway
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no {field} in {line}");
        }
    }
    let logged = lines.iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(logged as f64, errors);
}

#[tokio::test]
async fn a_log_that_goes_to_a_file_has_no_colours() {
    let stage = Stage::new().await;
    stage.client().ask().await;
    let log = stage.gateway.log();
    assert!(!log.contains('\u{1b}'), "{}", log.lines().next().unwrap());
}
