//! Servers that mean harm: a scan ends, in time and in little memory, and the gateway is none the worse.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};
use testkit::{Upstream, upstream};

use super::{answer, get_tools, look, path_of, register, respond, scan, server, stage};
use crate::stage::{get, post};

type Response = http::Response<upstream::Body>;

/// Answers `tools/list` in its own way.
async fn listing(list: impl Fn(&Value) -> Response + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |received| {
        let question: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let response = match question["method"].as_str() {
            Some("tools/list") => list(&question),
            Some(_) => answer(&question, &json!([])),
            None => respond(405, "text/plain", ""),
        };
        std::future::ready(response)
    })
    .await
}

/// A body without an end, a piece at a time.
fn endless(piece: &'static [u8], pause: Duration) -> upstream::Body {
    let (sender, body) = upstream::paced();
    testkit::spawn(async move {
        while sender
            .send(Ok(Frame::data(Bytes::from_static(piece))))
            .await
            .is_ok()
        {
            tokio::time::sleep(pause).await;
        }
    });
    body
}

fn json_answer(text: impl Into<Bytes>) -> Response {
    respond(200, "application/json", text)
}

fn stream(body: upstream::Body) -> Response {
    http::Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn answers_that_are_none_fail_the_scan_and_nothing_else() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let result = |question: &Value, result: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
            question["id"]
        )
    };
    let many = |question: &Value, count: usize| {
        let tools: Vec<_> = (0..count)
            .map(|number| json!({"name": format!("look_{number}")}))
            .collect();
        json!({"jsonrpc": "2.0", "id": question["id"], "result": {"tools": tools}}).to_string()
    };
    let cases: Vec<(&str, Upstream)> = vec![
        (
            "more than 1048576 bytes",
            listing(|_| stream(endless(&[b'x'; 60_000], Duration::ZERO))).await,
        ),
        (
            "more than 1048576 bytes",
            listing(|_| json_answer(vec![b' '; 2 << 20])).await,
        ),
        (
            "more than 1048576 bytes",
            listing(move |question| json_answer(many(question, 100_000))).await,
        ),
        (
            "not JSON",
            listing(move |question| json_answer(result(question, &deep))).await,
        ),
        (
            "not JSON",
            listing(|_| json_answer(&b"{\"id\":2,\"result\":{\"tools\":[\"\xff\"]}}"[..])).await,
        ),
        (
            "not JSON",
            listing(|_| stream(upstream::whole("data: \u{7}\n\n"))).await,
        ),
        (
            "the server refused: a\u{fffd}b",
            listing(|question| {
                let error = json!({"code": 1, "message": "a\0b"});
                json_answer(json!({"id": question["id"], "error": error}).to_string())
            })
            .await,
        ),
        (
            "has no result",
            listing(move |question| json_answer(result(question, "{\"tools\": {}}"))).await,
        ),
        (
            "has no result",
            listing(|_| json_answer(r#"{"jsonrpc":"2.0","id":77,"result":{"tools":[]}}"#)).await,
        ),
        (
            "ended without",
            listing(|_| stream(upstream::whole("data: {\"id\":99,\"result\":{}}\n\n"))).await,
        ),
        (
            "content type text/html",
            listing(|_| respond(200, "text/html", "<html>")).await,
        ),
        (
            "answered 500",
            listing(|_| respond(500, "text/plain", "")).await,
        ),
        (
            "answered 401",
            listing(|_| respond(401, "text/plain", "")).await,
        ),
        (
            "broke off",
            listing(|question| {
                let text = json!({"id": question["id"]}).to_string();
                let response = http::Response::builder()
                    .header("content-type", "application/json")
                    .header("content-length", "1000");
                response.body(upstream::pieces(vec![text.into()])).unwrap()
            })
            .await,
        ),
    ];
    for (expected, upstream) in &cases {
        let path = register(&stage, &admin, &upstream.url()).await;
        let scanned = scan(&admin, &path).await;
        assert_eq!(
            scanned["security_scan_status"], "failed",
            "{expected}: {scanned}"
        );
        let error = scanned["security_scan_results"]["error"].as_str().unwrap();
        assert!(
            error.contains(expected) || *expected == "broke off",
            "{expected}: {error}"
        );
    }
    assert_eq!(get(&admin, "mcp-tools").await["data"], json!([]));
    assert_eq!(
        stage.gateway.client(&stage.scene.key).ask().await.status,
        http::StatusCode::OK
    );
}

#[tokio::test]
async fn tools_beyond_measure_are_cut_and_found() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let tools: Vec<_> = (0..700)
        .map(|number| json!({"name": format!("look_{number}")}))
        .collect();
    let many = super::offering(move || json!(tools)).await;
    let looping = listing(|question| {
        let result = json!({"tools": [], "nextCursor": "again"});
        json_answer(json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string())
    })
    .await;
    let twice = super::offering(|| json!([look(), look()])).await;
    for (upstream, code, count) in [
        (&many, "-:too_many_tools", 500),
        (&looping, "-:too_many_tools", 0),
        (&twice, "look:duplicate_tool", 1),
    ] {
        let path = register(&stage, &admin, &upstream.url()).await;
        let scanned = scan(&admin, &path).await;
        assert_eq!(scanned["security_scan_status"], "failed", "{scanned}");
        assert!(super::codes(&scanned).contains(&code.to_owned()), "{code}");
        assert_eq!(get_tools(&admin, &path).await.len(), count, "{code}");
    }
}

#[tokio::test]
async fn a_server_that_never_ends_is_left_in_time() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let dripping =
        listing(|_| stream(endless(b": still here\n", Duration::from_millis(200)))).await;
    let silent = Upstream::start(|_| std::future::pending::<Response>()).await;
    // It names its endpoint, and then says nothing.
    let mute = Upstream::start(|received| {
        let response = if received.method == http::Method::GET {
            stream(endless(
                b"event: endpoint\ndata: /m\n\n",
                Duration::from_secs(1),
            ))
        } else {
            respond(202, "text/plain", "")
        };
        std::future::ready(response)
    })
    .await;
    let mut paths = vec![
        register(&stage, &admin, &dripping.url()).await,
        register(&stage, &admin, &silent.url()).await,
    ];
    let body = server(&stage, "mute", "sse", json!({"url": mute.url()}));
    paths.push(path_of(&post(&admin, "mcp-servers", body).await));
    let scans = async {
        tokio::join!(
            scan(&admin, &paths[0]),
            scan(&admin, &paths[1]),
            scan(&admin, &paths[2]),
        )
    };
    let scans = tokio::time::timeout(Duration::from_secs(20), scans).await;
    let (one, two, three) = scans.expect("they end");
    for scanned in [one, two, three] {
        assert_eq!(
            scanned["security_scan_results"]["error"], "not done within 10 s",
            "{scanned}"
        );
    }
}
