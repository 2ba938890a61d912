//! What belongs to a connection stays with it; everything else passes.

use http::{HeaderMap, HeaderValue};

use crate::stage::{Stage, json_answer, message, noting};

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect()
}

#[tokio::test]
async fn unknown_and_repeated_request_headers_pass_in_order() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    let more = "anthropic-beta: b,a\r\nAnthropic-Beta: c\r\nanthropic-beta: a\r\nX-Unheard-Of:   two  words \r\n\
         x-empty:\r\ncookie: a=1; b=2\r\naccept-encoding: gzip, br\r\nx-forwarded-for: 1.2.3.4\r\n\
         traceparent: 00-1-2-03\r\nuser-agent: Test/1\r\n";
    wire.send(stage.head("GET", "/v1/models", more)).await;
    assert_eq!(wire.answer().await.status, 200);
    let received = seen.only();
    for (name, expected) in [
        ("anthropic-beta", vec!["b,a", "c", "a"]),
        ("x-unheard-of", vec!["two  words"]),
        ("x-empty", vec![""]),
        ("cookie", vec!["a=1; b=2"]),
        ("accept-encoding", vec!["gzip, br"]),
        ("x-forwarded-for", vec!["1.2.3.4"]),
        ("traceparent", vec!["00-1-2-03"]),
        ("user-agent", vec!["Test/1"]),
    ] {
        let expected: Vec<&[u8]> = expected.iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values(&received.headers, name), expected, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_added_to_a_request_but_what_http_needs() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", "/v1/models", "")).await;
    wire.answer().await;
    let received = seen.only();
    let mut names: Vec<&str> = received.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["host", "x-api-key"],
        "of a request with nothing else"
    );
}

#[tokio::test]
async fn the_host_is_the_upstreams() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let host = stage.upstream.url().replace("http://", "");
    for client in [stage.client(), stage.http2_client()] {
        assert_eq!(client.get("/v1/models").await.status, 200);
        let received = seen.only();
        assert_eq!(values(&received.headers, "host"), [host.as_bytes()]);
    }
    // In absolute form the target names a host too: it doesn't say where requests go.
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", "http://elsewhere.example/v1/models", ""))
        .await;
    assert_eq!(wire.answer().await.status, 200);
    let received = seen.only();
    assert_eq!(values(&received.headers, "host"), [host.as_bytes()]);
    assert_eq!(received.uri.path(), "/v1/models");
}

#[tokio::test]
async fn headers_of_the_callers_connection_do_not_reach_the_upstream() {
    let (upstream, seen) = noting(|| json_answer(200, "{}")).await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    let more = "connection: keep-alive, X-Private\r\nconnection: x-second\r\nx-private: 1\r\nx-second: 2\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\n\
         te: gzip\r\nupgrade: websocket\r\nx-kept: 3\r\n";
    wire.send(stage.head("GET", "/v1/models", more)).await;
    assert_eq!(wire.answer().await.status, 200, "an upgrade is ignored");
    let received = seen.only();
    for name in [
        "x-private",
        "x-second",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
    ] {
        assert!(
            !received.headers.contains_key(name),
            "{name} is the connection's"
        );
    }
    assert_eq!(values(&received.headers, "x-kept"), [b"3"]);
}

#[tokio::test]
async fn headers_of_the_upstreams_connection_do_not_reach_the_caller() {
    let (upstream, _) = noting(|| {
        let mut answer = json_answer(200, message().to_string());
        for (name, value) in [
            ("connection", "x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("x-kept", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ] {
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    for client in [stage.client(), stage.http2_client()] {
        let answer = client.ask().await;
        for name in [
            "x-private",
            "keep-alive",
            "proxy-authenticate",
            "upgrade",
            "connection",
        ] {
            assert!(
                !answer.headers.contains_key(name),
                "{name} is the connection's"
            );
        }
        assert_eq!(answer.header("x-kept"), "1");
        let cookies: [&[u8]; 2] = [b"a=1", b"b=2"];
        assert_eq!(values(&answer.headers, "set-cookie"), cookies);
    }
}

#[tokio::test]
async fn an_answer_has_the_upstreams_headers_and_the_gateways_id_and_no_more() {
    let (upstream, _) = noting(|| {
        let mut answer = json_answer(200, message().to_string());
        let date = "Mon, 01 Jan 2024 00:00:00 GMT".parse().unwrap();
        answer.headers_mut().insert("date", date);
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    let answer = stage.client().ask().await;
    assert_eq!(
        answer.header("date"),
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "the upstream's date"
    );
    let mut names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "content-length",
        "content-type",
        "date",
        "request-id",
        "x-mindweave-request-id",
    ];
    assert_eq!(names, expected);
    let event = stage.scene.event().await;
    let id: uuid::Uuid = event.get("request_id");
    assert_eq!(
        answer.header("x-mindweave-request-id"),
        id.to_string(),
        "it is the event's id"
    );
}

#[tokio::test]
async fn header_values_beyond_ascii_pass() {
    let odd = HeaderValue::from_bytes(b"caf\xc3\xa9 \xff").unwrap();
    let answered = odd.clone();
    let (upstream, seen) = noting(move || {
        let mut answer = json_answer(200, "{}");
        answer.headers_mut().insert("x-odd", answered.clone());
        answer
    })
    .await;
    let stage = Stage::before(upstream).await;
    let more: HeaderMap = [("x-odd".parse().unwrap(), odd.clone())]
        .into_iter()
        .collect();
    let answer = stage.client().with_all(&more).get("/v1/models").await;
    assert_eq!(answer.headers.get("x-odd"), Some(&odd), "to the caller");
    assert_eq!(
        seen.only().headers.get("x-odd"),
        Some(&odd),
        "to the upstream"
    );
}
