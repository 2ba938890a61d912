//! HTTP itself: versions, probes, chunked uploads, many streams at once, and shutdown.

use http::Version;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use simulator::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{Running, message, parse_events};

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge() {
    let simulator = Running::with(Options::default(), true).await;
    let body = message(&json!({"stream": true})).to_string();
    let request = simulator.request("POST", "/v1/messages", body, &[]);
    let response = simulator.open(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let events = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(parse_events(&events).last().unwrap().0, "message_stop");
    let cut = message(&json!({"stream": true, "model": "claude-opus-5@cut=2"}));
    let cut = simulator.post("/v1/messages", &cut, &[]).await;
    assert!(cut.broke);
    assert_eq!(cut.events().len(), 2);
}

#[tokio::test]
async fn probes_need_no_key() {
    let simulator = Running::start().await;
    for (method, path) in [("HEAD", "/"), ("HEAD", "/api/hello"), ("GET", "/api/hello")] {
        let request = simulator.bare(method, path).body(Full::default()).unwrap();
        assert_eq!(simulator.send(request).await.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn chunked_uploads_are_read() {
    let simulator = Running::start().await;
    let body = message(&json!({})).to_string();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(simulator.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_run_at_once() {
    let simulator = std::sync::Arc::new(Running::start().await);
    let mut streams = JoinSet::new();
    for index in 0..200 {
        let simulator = std::sync::Arc::clone(&simulator);
        streams.spawn(async move {
            let body =
                message(&json!({"stream": true, "metadata": {"user_id": index.to_string()}}));
            let answer = simulator
                .post("/v1/messages", &body, &[("event-interval-ms", "1")])
                .await;
            answer.events().last().unwrap().0.clone()
        });
    }
    let ends = streams.join_all().await;
    assert!(ends.iter().all(|end| end == "message_stop"));
}

#[tokio::test]
async fn a_silent_request_does_not_hold_up_the_end() {
    let mut simulator = Running::start().await;
    let body = message(&json!({})).to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\
         x-simulator-silence: headers\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(simulator.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    // The interim answer shows that the request is in progress.
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    socket.read_exact(&mut interim).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let server = simulator.stop();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    server.await.unwrap().unwrap();
}
