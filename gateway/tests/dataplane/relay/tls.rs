//! TLS on the listener and to the upstream.

use http::{Method, Version};
use http_body_util::BodyExt as _;
use testkit::{Certificate, Client, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::{Seen, Stage, json_answer, message, noting};

#[tokio::test]
async fn the_listener_speaks_tls_where_it_is_given_a_certificate() {
    let certificate = Certificate::for_loopback();
    let (upstream, _) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::with_certificate(upstream, &certificate).await;
    assert!(
        stage.origin().starts_with("https://"),
        "the ready file says so: {}",
        stage.origin()
    );
    for http2 in [false, true] {
        let client = Client::tls(stage.origin(), &stage.scene.key, &certificate, http2);
        assert_eq!(client.ask().await.json(), message(), "HTTP/2: {http2}");
    }
    stage.scene.events(2).await;
}

/// A gateway before an upstream with a certificate, of which it trusts `trusted`.
async fn before_tls(shown: &Certificate, trusted: &Certificate, http2: &str) -> (Stage, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    let upstream = Upstream::tls(shown, move |received| {
        notes.note(&received);
        async { json_answer(200, message().to_string()) }
    })
    .await;
    let stage = Stage::configured(upstream, |builder| {
        builder
            .env("SSL_CERT_FILE", trusted.cert_file().to_str().unwrap())
            .env("MINDWEAVE_UPSTREAM_HTTP2", http2)
    })
    .await;
    (stage, seen)
}

#[tokio::test]
async fn the_upstream_is_spoken_to_over_tls() {
    let certificate = Certificate::for_loopback();
    for (http2, version) in [("false", Version::HTTP_11), ("true", Version::HTTP_2)] {
        let (stage, seen) = before_tls(&certificate, &certificate, http2).await;
        assert_eq!(stage.client().ask().await.json(), message(), "{version:?}");
        assert_eq!(seen.only().version, version);
        stage.scene.event().await;
    }
}

#[tokio::test]
async fn an_upstream_with_a_strangers_certificate_is_not_spoken_to() {
    let (shown, trusted) = (Certificate::for_loopback(), Certificate::for_loopback());
    let (stage, seen) = before_tls(&shown, &trusted, "false").await;
    let answer = stage.client().ask().await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.error_code(), "upstream_unreachable");
    assert_eq!(seen.take().len(), 0, "no request was made");
    let event = stage.scene.event().await;
    assert_eq!(
        testkit::scene::text(&event, "usage_quality"),
        "exact",
        "no work was done"
    );
}

/// Where nothing but the end of the connection says where an answer ends, only a peer that says goodbye has ended it.
#[tokio::test]
async fn an_answer_that_was_cut_off_within_tls_is_not_whole() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}";
    for says_goodbye in [true, false] {
        let certificate = Certificate::for_loopback();
        let upstream = Upstream::tls_wire(&certificate, move |mut stream| async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(ANSWER).await.unwrap();
            stream.flush().await.unwrap();
            if says_goodbye {
                stream.shutdown().await.unwrap();
            }
        })
        .await;
        let stage = Stage::configured(upstream, |builder| {
            builder.env("SSL_CERT_FILE", certificate.cert_file().to_str().unwrap())
        })
        .await;
        let answer = stage
            .client()
            .begin(Method::GET, "/v1/models", "")
            .await
            .unwrap();
        let body = answer.into_body().collect().await;
        assert_eq!(body.is_ok(), says_goodbye, "{body:?}");
    }
}
