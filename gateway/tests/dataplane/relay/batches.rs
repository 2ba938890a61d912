//! Batch objects: the one body that is edited, so that their results are fetched through the gateway.

use http::Method;
use serde_json::json;
use testkit::upstream::whole;
use testkit::{Certificate, Client, Upstream};

use crate::stage::{Stage, gzip, json_answer, noting, typed};

const RESULTS: &str = "/v1/messages/batches/msgbatch_1/results";

fn batch(origin: &str) -> String {
    format!(
        r#"{{"id":"msgbatch_1", "type":"message_batch","results_url" : "{origin}{RESULTS}","n":1.0}}"#
    )
}

fn page(origin: &str) -> String {
    format!(
        r#"{{"data":[{0},{{"results_url":null}},{0}],"has_more":false}}"#,
        batch(origin)
    )
}

const API: &str = "https://api.anthropic.com";

#[tokio::test]
async fn results_urls_lead_back_to_the_gateway() {
    let (one, many) = (batch(API), page(API));
    let upstream = Upstream::start(move |received| {
        let list = received.method == Method::GET && received.uri.path().ends_with("/batches");
        let text = if list { many.clone() } else { one.clone() };
        async { json_answer(200, text) }
    })
    .await;
    let stage = Stage::with_own_upstream_key(upstream).await;
    let own = stage.origin().to_owned();
    for client in [stage.client(), stage.http2_client()] {
        for (method, path, expected) in [
            (Method::POST, "/v1/messages/batches", batch(&own)),
            (Method::GET, "/v1/messages/batches?limit=2", page(&own)),
            (Method::GET, "/v1/messages/batches/msgbatch_1", batch(&own)),
            (
                Method::POST,
                "/v1/messages/batches/msgbatch_1/cancel",
                batch(&own),
            ),
            (
                Method::GET,
                "/v1/v1/messages/batches/msgbatch_1?beta=true",
                batch(&own),
            ),
        ] {
            let answer = client.send(method.clone(), path, "{}").await;
            assert_eq!(answer.body, expected, "{method} {path}");
            let length = expected.len().to_string();
            let told = answer.header("content-length");
            assert!(
                told.is_empty() || told == length,
                "{method} {path}: {told}, not {length}"
            );
        }
    }
    stage.scene.events(4).await;
}

#[tokio::test]
async fn results_urls_name_the_host_that_the_caller_used() {
    let (upstream, _) = noting(|| json_answer(200, batch(API))).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_PROXY_TRUSTED_PROXIES", "127.0.0.1")
    })
    .await;
    let path = "/v1/messages/batches/msgbatch_1";
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", path, "")).await;
    assert_eq!(
        wire.answer().await.body,
        batch("http://gateway"),
        "by its Host"
    );
    let client = stage
        .client()
        .with("x-forwarded-proto", "https")
        .with("x-forwarded-host", "ai.example.com");
    let answer = client.get(path).await;
    assert_eq!(
        answer.body,
        batch("https://ai.example.com"),
        "by a trusted proxy's word"
    );
}

#[tokio::test]
async fn results_urls_of_a_tls_listener_are_https() {
    let certificate = Certificate::for_loopback();
    let (upstream, _) = noting(|| json_answer(200, batch(API))).await;
    let stage = Stage::with_certificate(upstream, &certificate).await;
    for http2 in [false, true] {
        let client = Client::tls(stage.origin(), &stage.scene.key, &certificate, http2);
        let answer = client.get("/v1/messages/batches/msgbatch_1").await;
        assert_eq!(answer.body, batch(stage.origin()), "HTTP/2: {http2}");
    }
}

#[tokio::test]
async fn a_batch_that_comes_compressed_though_nobody_asked_is_edited_too() {
    let (upstream, seen) = noting(|| {
        let mut answer = typed(200, "application/json", whole(gzip(batch(API).as_bytes())));
        answer
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    let client = stage.client().with("accept-encoding", "gzip");
    let answer = client.get("/v1/messages/batches/msgbatch_1").await;
    let asked = seen.only().headers.get("accept-encoding").cloned();
    assert!(
        asked.as_ref().is_none_or(|encoding| encoding == "identity"),
        "what is to be edited is asked for plain: {asked:?}"
    );
    assert_eq!(answer.header("content-encoding"), "", "it is plain again");
    assert_eq!(answer.body, batch(stage.origin()));
}

#[tokio::test]
async fn batch_results_and_errors_pass_untouched() {
    let line = json!({ "custom_id": "1", "result": { "type": "succeeded" } }).to_string();
    let text = format!("{line}\n{{\"results_url\":\"{API}{RESULTS}\"}}\n");
    let (results, error) = (text.clone(), batch(API));
    let expected_error = error.clone();
    let upstream = Upstream::start(move |received| {
        let answer = if received.uri.path() == RESULTS {
            typed(200, "application/x-jsonl", whole(results.clone()))
        } else {
            json_answer(404, error.clone())
        };
        async { answer }
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().get(RESULTS).await;
    assert_eq!(answer.body, text, "results");
    assert_eq!(answer.header("content-type"), "application/x-jsonl");
    let answer = stage.client().get("/v1/messages/batches/msgbatch_2").await;
    assert_eq!(
        (answer.status.as_u16(), answer.body),
        (404, expected_error.into()),
        "an error"
    );
}

#[tokio::test]
async fn a_batch_whose_answer_breaks_off_is_a_502() {
    let upstream = Upstream::wire(|mut wire: testkit::Wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"id\"")
            .await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage
        .client()
        .send(Method::POST, "/v1/messages/batches", "{}")
        .await;
    assert_eq!(answer.status, 502, "{:?}", answer.body);
    assert_eq!(answer.error_code(), "upstream_unreachable");
    let event = stage.scene.event().await;
    assert_eq!(testkit::scene::text(&event, "status"), "error");
}
