//! The items of a batch are held to the policies that its caller's own requests are held to, before the upstream has the batch.

mod bodies;
mod kinds;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::scene::text;
use testkit::upstream::pieces;
use testkit::{Upstream, Wire, eventually};
use tokio::sync::mpsc;
use tokio_postgres::Row;

use super::put_policy;
use crate::stage::{Seen, Stage, chunked, json_answer, message, noting};

const BATCHES: &str = "/v1/messages/batches";
const MIB: usize = 1 << 20;

fn item(index: usize, model: &str, content: &str) -> Value {
    json!({"custom_id": format!("item-{index}"), "params": {
        "model": model, "max_tokens": 64, "messages": [{"role": "user", "content": content}]}})
}

/// A batch of so many bytes or a little more, whose last item is for this model.
fn batch(bytes: usize, last: &str) -> (usize, Vec<u8>) {
    let content = "Hello \u{fc} ".repeat(4_000);
    let mut items = vec![item(0, "claude-sonnet-5", "Hello")];
    while items.len() * content.len() < bytes {
        items.push(item(items.len(), "claude-sonnet-5", &content));
    }
    let index = items.len();
    items.push(item(index, last, "Hello"));
    (index, json!({ "requests": items }).to_string().into_bytes())
}

/// A gateway with these policies in force before an upstream that notes what it has got whole.
async fn stage(policies: &[(&str, &str, Value)]) -> (Stage, Seen) {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    put_policies(&stage, policies).await;
    seen.take();
    (stage, seen)
}

async fn put_policies(stage: &Stage, policies: &[(&str, &str, Value)]) {
    for (name, kind, rules) in policies {
        put_policy(stage, name, kind, rules.clone()).await;
    }
    // What is put last shows that all are in force.
    let rate = json!({"max_requests_per_day": 1_000});
    put_policy(stage, "day", "usage", rate).await;
    eventually("the policies are in force", || async {
        let answer = stage.client().ask().await;
        let header = answer.header("anthropic-ratelimit-requests-limit");
        (header == "1000").then_some(())
    })
    .await;
}

fn no_opus() -> [(&'static str, &'static str, Value); 1] {
    [("no opus", "access", json!({"denied_models": ["opus"]}))]
}

fn check_refused(answer: &Answer, index: usize) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{:?}", answer.body);
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "permission_error");
    let details = &error["details"];
    assert_eq!(details["error_code"], "model_not_allowed");
    assert_eq!(details["policy"], "no opus");
    let item = json!({"index": index, "custom_id": format!("item-{index}")});
    assert_eq!(details["item"], item);
    let place = format!("requests[{index}] (custom_id \"item-{index}\"): ");
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(&place), "{message}");
    assert!(message.contains("claude-opus-5"), "{message}");
}

/// The rows of batches, once there are as many as are expected.
async fn rows(stage: &Stage, count: usize) -> Vec<Row> {
    let sql = "SELECT status, error_code, metadata ->> 'policy_id' AS policy,
        (metadata ->> 'refusals')::bigint AS refusals
        FROM usage_events WHERE metadata ->> 'endpoint' = 'batches'";
    eventually("the batches are rows", || async {
        let rows = stage.scene.sql.query(sql, &[]).await.unwrap();
        assert!(rows.len() <= count, "{rows:?}");
        (rows.len() == count).then_some(rows)
    })
    .await
}

/// How much of the day's requests is left, asked for by one more.
async fn left(stage: &Stage) -> u64 {
    let answer = stage.client().ask().await;
    let left = answer.header("anthropic-ratelimit-requests-remaining");
    left.parse().unwrap()
}

/// One batch was refused, and is accounted for as one refused request.
async fn check_accounts(stage: &Stage) {
    let row = rows(stage, 1).await.remove(0);
    assert_eq!(text(&row, "status"), "error");
    assert_eq!(text(&row, "error_code"), "model_not_allowed");
    assert!(!text(&row, "policy").is_empty());
    assert_eq!(row.get::<_, i64>("refusals"), 1);
    let denials = "mindweave_budget_denials_total{reason=\"model_not_allowed\"}";
    assert_eq!(stage.gateway.metric(denials).await, 1.0);
    assert_eq!(stage.ended("batches", 403, "model_not_allowed").await, 1.0);
}

#[tokio::test]
async fn a_denied_model_among_the_items_refuses_the_batch_before_it_is_forwarded() {
    let (stage, seen) = stage(&no_opus()).await;
    let before = left(&stage).await;
    seen.take();
    let (index, body) = batch(0, "claude-opus-5");
    let answer = stage.client().send(Method::POST, BATCHES, body).await;
    check_refused(&answer, index);
    assert!(seen.take().is_empty(), "the upstream got something");
    check_accounts(&stage).await;
    assert_eq!(left(&stage).await, before - 1, "what it held is given back");
    seen.take();

    let (_, body) = batch(0, "claude-haiku-4-5");
    let answer = stage
        .client()
        .send(Method::POST, BATCHES, body.clone())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(seen.only().body, body);
}

#[tokio::test]
async fn a_bad_item_at_the_end_of_a_large_batch_breaks_the_upload_off() {
    let (stage, seen) = stage(&no_opus()).await;
    let before = left(&stage).await;
    seen.take();
    let (index, body) = batch(8 * MIB, "claude-opus-5");
    let parts = |body: &[u8]| body.chunks(100_000).map(Bytes::copy_from_slice).collect();
    for http2 in [false, true] {
        let client = stage.client_over(http2);
        let whole = client.send(Method::POST, BATCHES, body.clone()).await;
        check_refused(&whole, index);
        let chunks = pieces(parts(&body));
        let chunked = client.send_body(Method::POST, BATCHES, chunks).await;
        check_refused(&chunked, index);
    }
    assert!(seen.take().is_empty(), "the upstream got a batch whole");
    assert_eq!(
        left(&stage).await,
        before - 1,
        "what they held is given back"
    );
    seen.take();

    let (_, body) = batch(8 * MIB, "claude-haiku-4-5");
    for http2 in [false, true] {
        let client = stage.client_over(http2);
        let answer = client.send(Method::POST, BATCHES, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(seen.only().body == body, "byte for byte");
        let chunks = pieces(parts(&body));
        let answer = client.send_body(Method::POST, BATCHES, chunks).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(seen.only().body == body, "byte for byte, in chunks");
    }
}

#[tokio::test]
async fn a_streamed_batch_that_is_refused_is_accounted_for_once() {
    let (stage, seen) = stage(&no_opus()).await;
    let (index, body) = batch(4 * MIB, "claude-opus-5");
    let answer = stage.client().send(Method::POST, BATCHES, body).await;
    check_refused(&answer, index);
    assert!(seen.take().is_empty(), "the upstream got a batch whole");
    check_accounts(&stage).await;
}

/// What the upstream of this stage reads from each connection, to its end.
async fn listening() -> (Stage, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(16);
    let upstream = Upstream::wire(move |mut wire: Wire| {
        let sender = sender.clone();
        async move {
            let head = wire.head().await;
            if head.start.contains("batches") {
                // The test may have ended.
                drop(sender.send(wire.rest().await).await);
            } else {
                let body = message().to_string();
                let length = body.len();
                wire.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"))
                    .await;
            }
        }
    })
    .await;
    let stage = Stage::before(upstream).await;
    put_policies(&stage, &no_opus()).await;
    (stage, receiver)
}

#[tokio::test]
async fn the_upstream_never_sees_the_end_of_a_batch_that_is_refused() {
    let (stage, mut read) = listening().await;
    let (index, body) = batch(3 * MIB, "claude-opus-5");
    let mut wire = stage.wire().await;

    let length = format!("expect: 100-continue\r\ncontent-length: {}\r\n", body.len());
    wire.send(stage.head("POST", BATCHES, &length)).await;
    assert_eq!(wire.answer().await.status, StatusCode::CONTINUE);
    wire.send(&body).await;
    check_refused(&wire.answer().await, index);
    let got = read.recv().await.unwrap();
    assert!(got.len() < body.len(), "{} of {}", got.len(), body.len());

    // The connection can still be used: all of the body was taken off it.
    let chunked_body = chunked(&body.chunks(64 << 10).collect::<Vec<_>>());
    wire.send(stage.head("POST", BATCHES, "transfer-encoding: chunked\r\n"))
        .await;
    wire.send(&chunked_body).await;
    check_refused(&wire.answer().await, index);
    let got = read.recv().await.unwrap();
    assert!(!got.ends_with(b"\r\n0\r\n\r\n"), "the last chunk was sent");
}

#[tokio::test]
async fn a_bad_item_is_refused_while_its_caller_still_thinks_about_the_next() {
    let (stage, seen) = stage(&no_opus()).await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("POST", BATCHES, "content-length: 3000000\r\n"))
        .await;
    let begun = format!("{{\"requests\":[{},", item(0, "claude-opus-5", "Hello"));
    wire.send(&begun).await;
    eventually("it is refused", || async {
        let denials = "mindweave_budget_denials_total";
        (stage.gateway.metric(denials).await > 0.0).then_some(())
    })
    .await;
    wire.send(vec![b' '; 3_000_000 - begun.len()]).await;
    check_refused(&wire.answer().await, 0);
    assert!(seen.take().is_empty());
    check_accounts(&stage).await;
}

#[tokio::test]
async fn an_upstream_that_answers_before_it_has_the_batch_makes_no_second_account_of_it() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        let head = wire.head().await;
        let status = if head.start.contains("batches") {
            "413 Too Large"
        } else {
            "200 OK"
        };
        wire.send(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        ))
        .await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    put_policies(&stage, &no_opus()).await;
    let (_, body) = batch(4 * MIB, "claude-opus-5");
    let answer = stage.client().send(Method::POST, BATCHES, body).await;
    // Which of the two comes first is chance.
    assert!([413, 403].contains(&answer.status.as_u16()), "{answer:?}");
    rows(&stage, 1).await;
    let ended = stage.gateway.metric("mindweave_requests_total").await;
    eventually("nothing comes after it", || async {
        let sql = "SELECT count(*) FROM usage_events";
        let stored: i64 = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
        (stored as f64 == ended).then_some(())
    })
    .await;
}
