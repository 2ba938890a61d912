//! What becomes of running answers and new callers.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use testkit::client::question;
use testkit::scene::text;
use testkit::{Client, Gateway, Scene, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::MINDWEAVE;
use crate::sse::{BEGINNING, END, Teller, Tellers, read_through};

/// Makes a client of an origin with a key.
type Connect = fn(&str, &str) -> Client;

/// A gateway in the middle of a stream.
struct Midway<B> {
    scene: Scene,
    gateway: Gateway,
    teller: Teller,
    stream: B,
}

async fn midway(
    connect: Connect,
    drain_seconds: &'static str,
) -> Midway<impl Body<Data = Bytes, Error: std::fmt::Debug> + Unpin> {
    let scene = Scene::new().await;
    let tellers = Tellers::new().await;
    let builder = scene.serve(MINDWEAVE, &tellers.upstream);
    let gateway = builder
        .env("MINDWEAVE_PROXY_DRAIN_SECONDS", drain_seconds)
        .start()
        .await;
    let client = connect(gateway.ready_text("proxy_url"), &scene.key);
    let question = question(true).to_string();
    let asking = client.begin(Method::POST, "/v1/messages", question);
    let telling = async {
        let teller = tellers.next().await;
        teller.tell(BEGINNING).await;
        teller
    };
    let (answer, teller) = tokio::join!(asking, telling);
    let mut stream = Response::into_body(answer.unwrap());
    assert_eq!(read_through(&mut stream, BEGINNING).await, BEGINNING);
    Midway {
        scene,
        gateway,
        teller,
        stream,
    }
}

/// Waits until the gateway says that it is about to end.
async fn says_that_it_shuts_down(gateway: &Gateway) {
    let operator = gateway.operator();
    let answer = eventually("/readyz says no", || async {
        let answer = operator.get("/readyz").await;
        (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await;
    let reasons = answer.json()["reasons"].clone();
    assert_eq!(reasons, serde_json::json!(["shutting down"]));
}

/// Waits until nobody is let in any more: refused, or closed without a word.
async fn lets_nobody_in(gateway: &Gateway) {
    let address = gateway
        .ready_text("proxy_url")
        .trim_start_matches("http://");
    eventually("new connections are turned away", || async {
        match TcpStream::connect(address).await {
            Ok(mut stream) => matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)).then_some(()),
            Err(_) => Some(()),
        }
    })
    .await;
}

async fn a_stream_finishes_after(signal: impl FnOnce(&Gateway), connect: Connect) {
    let Midway {
        scene,
        mut gateway,
        teller,
        mut stream,
    } = midway(connect, "20").await;
    signal(&gateway);
    says_that_it_shuts_down(&gateway).await;
    lets_nobody_in(&gateway).await;

    teller.tell(END).await;
    drop(teller);
    assert_eq!(read_through(&mut stream, END).await, END);
    let rest = stream.collect().await.expect("a clean end").to_bytes();
    assert!(rest.is_empty(), "{rest:?}");
    assert!(gateway.ended().await.success());
    let event = scene.event().await;
    assert_eq!(text(&event, "status"), "success");
    assert_eq!(text(&event, "usage_quality"), "exact");
    assert_eq!(event.get::<_, i32>("output_tokens"), 22);
}

#[tokio::test]
async fn a_running_stream_finishes_after_sigterm() {
    a_stream_finishes_after(Gateway::terminate, Client::new).await;
}

#[tokio::test]
async fn a_running_stream_finishes_after_sigint() {
    a_stream_finishes_after(Gateway::interrupt, Client::new).await;
}

#[tokio::test]
async fn a_running_http2_stream_finishes_after_sigterm() {
    a_stream_finishes_after(Gateway::terminate, Client::http2).await;
}

async fn a_stream_without_end_is_cut_off(connect: Connect) {
    let Midway {
        scene,
        mut gateway,
        teller,
        mut stream,
    } = midway(connect, "1").await;
    gateway.terminate();
    let began = Instant::now();
    while let Some(Ok(_)) = stream.frame().await {}
    assert!(gateway.ended().await.success());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "cut after {took:?}");
    assert!(took < Duration::from_secs(10), "ended after {took:?}");
    let event = scene.event().await;
    assert_eq!(text(&event, "usage_quality"), "estimated");
    assert_eq!(text(&event, "status"), "error");
    assert_eq!(text(&event, "error_code"), "gateway_shutdown");
    assert_eq!(event.get::<_, i32>("input_tokens"), 11);
    assert!(event.get::<_, i32>("output_tokens") > 0);
    drop(teller);
}

#[tokio::test]
async fn the_drain_deadline_cuts_a_stream_that_never_ends_and_its_event_is_stored() {
    a_stream_without_end_is_cut_off(Client::new).await;
}

#[tokio::test]
async fn the_drain_deadline_cuts_an_http2_stream_and_its_event_is_stored() {
    a_stream_without_end_is_cut_off(Client::http2).await;
}
