//! Methods, paths and queries.

use http::Method;
use testkit::upstream::whole;

use crate::stage::{Stage, UPSTREAM_REQUEST_ID, json_answer, noting, typed};

#[tokio::test]
async fn paths_and_queries_pass_byte_for_byte() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    for target in [
        "/v1/unheard/of?beta=true&x=%20%2F+%zz&&=",
        "/v1/files/a%2Fb%2e%2E/content",
        "/v1//messages//batches/b",
        "/v1/models/claude;v=1,2:(3)'!*@$&=~",
        "/v1/x?next=/v1/v1/messages",
        "/v1/x?",
    ] {
        wire.send(stage.head("GET", target, "")).await;
        assert_eq!(wire.answer().await.status, 200, "{target}");
        assert_eq!(
            seen.only().uri.to_string(),
            target,
            "the target arrives as it was"
        );
    }
}

#[tokio::test]
async fn doubled_prefixes_collapse() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    for (asked, forwarded) in [
        ("/v1/v1/models?a=%2F", "/v1/models?a=%2F"),
        ("/v1/v1/v1/models", "/v1/models"),
        ("/v1/v1x/models", "/v1/v1x/models"),
    ] {
        assert_eq!(stage.client().get(asked).await.status, 200, "{asked}");
        assert_eq!(seen.only().uri.to_string(), forwarded, "{asked}");
    }
    stage
        .client()
        .send(Method::POST, "/v1/v1/messages", r#"{"model":"m"}"#)
        .await;
    let event = stage.scene.event().await;
    let metadata: serde_json::Value = event.get("metadata");
    assert_eq!(
        metadata["endpoint"], "messages",
        "a doubled prefix is metered"
    );
}

#[tokio::test]
async fn every_method_passes() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    for client in [stage.client(), stage.http2_client()] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
            let method: Method = method.parse().unwrap();
            let answer = client.send(method.clone(), "/v1/things", "").await;
            assert_eq!(answer.status, 200, "{method}");
            assert_eq!(seen.only().method, method, "the method arrives as it was");
        }
    }
    // Of these only POST is admitted.
    stage.scene.events(2).await;
}

#[tokio::test]
async fn an_upstream_may_lie_below_a_path() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let base = format!("{}/claude/api/", upstream.url());
    let stage = Stage::configured(upstream, |builder| builder.upstream(&base)).await;
    assert_eq!(stage.client().get("/v1/models?a=b").await.status, 200);
    assert_eq!(seen.only().uri.to_string(), "/claude/api/v1/models?a=b");
}

#[tokio::test]
async fn probes_are_answered_without_a_key_and_go_nowhere() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let anybody = stage.gateway.client("");
    for (method, path) in [
        (Method::HEAD, "/"),
        (Method::HEAD, "/api/hello"),
        (Method::GET, "/api/hello"),
    ] {
        let answer = anybody.send(method.clone(), path, "").await;
        assert_eq!(answer.status, 200, "{method} {path}");
        let id = answer.header("x-mindweave-request-id");
        assert!(
            !id.is_empty() && answer.header("request-id") == id,
            "{method} {path}: {id:?}"
        );
    }
    assert_eq!(seen.take().len(), 0, "no probe reaches the upstream");
    assert_eq!(stage.ended("none", 200, "ok").await, 3.0);
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length() {
    for path in ["/v1/models", "/v1/messages/batches/b"] {
        let (upstream, seen) = noting(|| {
            let mut answer = json_answer(200, "");
            answer
                .headers_mut()
                .insert("content-length", "1234".parse().unwrap());
            answer
        })
        .await;
        let stage = Stage::before(upstream).await;
        let mut wire = stage.wire().await;
        wire.send(stage.head("HEAD", path, "")).await;
        let head = wire.head().await;
        assert_eq!(head.status(), 200, "{path}");
        let length = head
            .headers
            .get("content-length")
            .map(|length| length.to_str().unwrap());
        // A batch object's length changes by the edit: then it is better not told than told wrong.
        let told = length == Some("1234") || (path.contains("batches") && length.is_none());
        assert!(
            told,
            "{path}: the length of what GET would answer: {length:?}"
        );
        assert_eq!(seen.only().method, Method::HEAD);
        wire.send(stage.head("HEAD", "/", "")).await;
        assert_eq!(
            wire.head().await.status(),
            200,
            "{path}: the connection goes on in step"
        );
    }
}

#[tokio::test]
async fn an_upstreams_errors_pass_byte_for_byte() {
    let odd = "{\"type\" : \"error\",\n \"error\":{\"message\":\"na\u{ef}ve\",\"type\":\"x\"} }\n";
    for (status, body) in [
        (400, odd),
        (401, "{}"),
        (413, odd),
        (429, odd),
        (500, ""),
        (529, odd),
    ] {
        let (upstream, _) = noting(move || {
            let mut answer = json_answer(status, body);
            let headers = answer.headers_mut();
            headers.insert("retry-after", "7".parse().unwrap());
            headers.insert("x-should-retry", "true".parse().unwrap());
            answer
        })
        .await;
        let stage = Stage::before(upstream).await;
        let answer = stage.client().ask().await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body, body, "{status}: the body");
        assert_eq!(answer.header("request-id"), UPSTREAM_REQUEST_ID, "{status}");
        assert_eq!(answer.header("retry-after"), "7", "{status}");
        assert_eq!(answer.header("x-should-retry"), "true", "{status}");
        let event = stage.scene.event().await;
        let stored = testkit::scene::text(&event, "status");
        let expected = if status == 429 {
            "rate_limited"
        } else {
            "error"
        };
        assert_eq!(stored, expected, "{status}: the event's status");
        assert_eq!(stage.ended("messages", status, "upstream_error").await, 1.0);
    }
}

#[tokio::test]
async fn an_answer_without_a_body_stays_without() {
    let (upstream, _) = noting(|| {
        let mut answer = typed(204, "application/json", whole(""));
        answer.headers_mut().remove("content-type");
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    for _ in 0..2 {
        wire.send(stage.head("DELETE", "/v1/files/f", "")).await;
        let head = wire.head().await;
        assert_eq!(head.status(), 204);
        assert!(
            !head.headers.contains_key("content-length"),
            "{:?}",
            head.headers
        );
        assert!(
            !head.headers.contains_key("transfer-encoding"),
            "{:?}",
            head.headers
        );
    }
}
