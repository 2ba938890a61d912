//! Who is only connected doesn't hold the end up.

use std::time::Duration;

use http::StatusCode;
use testkit::{Certificate, Client, Gateway, Wire};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::stage::Stage;

/// Far below the drain deadline of half a minute.
const SOON: Duration = Duration::from_secs(5);

async fn ends_soon(mut gateway: Gateway) {
    gateway.terminate();
    let began = Instant::now();
    assert!(gateway.ended().await.success());
    let took = began.elapsed();
    assert!(took < SOON, "the end took {took:?}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_drain_up() {
    let stage = Stage::new().await;
    let origin = stage.gateway.ready_text("proxy_url").to_owned();
    let http2 = Client::http2(&origin, &stage.scene.key);
    let http1 = stage.client();
    for client in [&http1, &http2] {
        assert_eq!(client.ask().await.status, StatusCode::OK);
    }
    // Has never said anything.
    let silent = TcpStream::connect(origin.trim_start_matches("http://"))
        .await
        .unwrap();
    // Holds its connection by itself, so that nobody pools or closes it.
    let mut kept = Wire::connect(&origin).await;
    kept.send("HEAD / HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(kept.head().await.status(), StatusCode::OK);

    let Stage { scene, gateway, .. } = stage;
    ends_soon(gateway).await;
    drop((silent, kept, http1, http2));
    scene.events(2).await;
}

#[tokio::test]
async fn an_idle_connection_of_an_operator_does_not_hold_the_drain_up() {
    let stage = Stage::new().await;
    let operator = stage.gateway.operator();
    assert_eq!(operator.get("/healthz").await.status, StatusCode::OK);
    ends_soon(stage.gateway).await;
    drop(operator);
}

#[tokio::test]
async fn a_connection_before_its_handshake_does_not_hold_the_drain_up() {
    let certificate = Certificate::for_loopback();
    let stage = Stage::configured(|builder| {
        let file = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        builder
            .env("MINDWEAVE_PROXY_TLS_CERT", &file(certificate.cert_file()))
            .env("MINDWEAVE_PROXY_TLS_KEY", &file(certificate.key_file()))
    })
    .await;
    let origin = stage.gateway.ready_text("proxy_url").to_owned();
    let silent = TcpStream::connect(origin.trim_start_matches("https://"))
        .await
        .unwrap();
    // Accepted after it, so that both have been.
    let client = Client::tls(&origin, &stage.scene.key, &certificate, false);
    assert_eq!(client.ask().await.status, StatusCode::OK);
    ends_soon(stage.gateway).await;
    drop(silent);
}
