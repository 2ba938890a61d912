//! Connections are kept: the callers' and those to the upstream, over HTTP/1.1 and HTTP/2.

use http::Version;
use testkit::{Upstream, Wire, eventually};

use crate::stage::{Stage, json_answer, message, noting};

const OPEN: &str = r#"mindweave_upstream_connections{state="open"}"#;

#[tokio::test]
async fn both_sides_keep_their_connections() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let get = stage.head("GET", "/v1/models", "");
    let mut wire = stage.wire().await;
    for _ in 0..50 {
        wire.send(&get).await;
        assert_eq!(wire.answer().await.status, 200, "on one connection");
    }
    assert_eq!(seen.take().len(), 50);
    let made = stage.upstream.connections();
    // A request may come before the connection of the one before it is back in the pool.
    assert!(
        made <= 5,
        "50 requests one after the other took {made} upstream connections"
    );
    let open = stage.gateway.metric(OPEN).await;
    assert!(open >= 1.0, "the pool keeps a connection open: {open}");
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_meanwhile_costs_nobody_an_answer() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        // Closed without a word of it in the head, as an idle timeout does.
    })
    .await;
    let stage = Stage::before(upstream).await;
    for round in 0..5 {
        assert_eq!(stage.client().ask().await.status, 200, "round {round}");
        eventually("the gateway has seen the end", || async {
            (stage.gateway.metric(OPEN).await < 1.0).then_some(())
        })
        .await;
    }
    stage.scene.events(5).await;
}

#[tokio::test]
async fn a_caller_may_speak_http2() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let client = stage.http2_client();
    let asking = (0..20).map(|_| client.ask());
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.json(), message());
    }
    for received in seen.take() {
        assert_eq!(
            received.version,
            Version::HTTP_11,
            "the upstream is spoken to as configured"
        );
    }
    stage.scene.events(20).await;
}

#[tokio::test]
async fn the_upstream_may_speak_http2() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_UPSTREAM_HTTP2", "true")
    })
    .await;
    for client in [stage.client(), stage.http2_client()] {
        let asking = (0..10).map(|_| client.ask());
        for answer in futures_util::future::join_all(asking).await {
            assert_eq!(answer.json(), message());
        }
    }
    let received = seen.take();
    assert_eq!(received.len(), 20);
    for received in received {
        assert_eq!(received.version, Version::HTTP_2);
        let host = received.uri.authority().expect("an authority").as_str();
        assert_eq!(format!("http://{host}"), stage.upstream.url());
    }
    stage.scene.events(20).await;
}

/// A request waits for its head on a connection too.
#[tokio::test]
async fn a_connection_counts_as_active_from_the_request_on() {
    let upstream = Upstream::wire(|mut wire: Wire| async move {
        wire.request().await;
        wire.rest().await;
    })
    .await;
    let stage = Stage::before(upstream).await;
    let mut wire = stage.wire().await;
    wire.send(stage.head("GET", "/v1/models", "")).await;
    let active = r#"mindweave_upstream_connections{state="active"}"#;
    eventually(
        "the connection that carries a request counts as active",
        || async { (stage.gateway.metric(active).await >= 1.0).then_some(()) },
    )
    .await;
}
