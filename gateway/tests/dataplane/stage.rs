//! What these tests share: a gateway before an upstream that notes what it got, and answers in a line.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::gateway::Builder;
use testkit::upstream::{Body, Received, whole};
use testkit::{Certificate, Client, Gateway, Scene, Tenant, Upstream, Wire};

use crate::MINDWEAVE;

/// A gateway with a database before it and an upstream behind it.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl Stage {
    pub(crate) async fn before(upstream: Upstream) -> Self {
        Self::configured(upstream, |builder| builder).await
    }

    pub(crate) async fn configured(
        upstream: Upstream,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let scene = Scene::new().await;
        let gateway = configure(scene.serve(MINDWEAVE, &upstream)).start().await;
        Self {
            scene,
            upstream,
            gateway,
        }
    }

    /// With an upstream key of the tenant's own.
    pub(crate) async fn with_own_upstream_key(upstream: Upstream) -> Self {
        let scene = Scene::new().await;
        let folder = tempfile::tempdir().unwrap();
        let config = own_upstream_key(&folder, &scene.tenant);
        let builder = scene.serve(MINDWEAVE, &upstream);
        let gateway = builder.arg("--config").arg(config).start().await;
        Self {
            scene,
            upstream,
            gateway,
        }
    }

    /// With TLS on the listener.
    pub(crate) async fn with_certificate(upstream: Upstream, shown: &Certificate) -> Self {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        Self::configured(upstream, |builder| {
            builder
                .env("MINDWEAVE_PROXY_TLS_CERT", &text(shown.cert_file()))
                .env("MINDWEAVE_PROXY_TLS_KEY", &text(shown.key_file()))
        })
        .await
    }

    /// A client with the tenant's key.
    pub(crate) fn client(&self) -> Client {
        self.gateway.client(&self.scene.key)
    }

    /// A client with the tenant's key that speaks HTTP/2.
    pub(crate) fn http2_client(&self) -> Client {
        Client::http2(self.origin(), &self.scene.key)
    }

    /// A client with the tenant's key, over HTTP/2 or HTTP/1.1.
    pub(crate) fn client_over(&self, http2: bool) -> Client {
        if http2 {
            self.http2_client()
        } else {
            self.client()
        }
    }

    /// A connection to write on by hand.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::connect(self.origin()).await
    }

    pub(crate) fn origin(&self) -> &str {
        self.gateway.ready_text("proxy_url")
    }

    /// How often a request ended so.
    pub(crate) async fn ended(&self, endpoint: &str, status: u16, reason: &str) -> f64 {
        let labels = format!(r#"endpoint="{endpoint}",status="{status}",reason="{reason}""#);
        self.gateway
            .metric(&format!("mindweave_requests_total{{{labels}}}"))
            .await
    }

    /// The head of a request with the tenant's key; `more` are header lines, each with its end.
    pub(crate) fn head(&self, method: &str, target: &str, more: &str) -> String {
        let key = &self.scene.key;
        format!("{method} {target} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {key}\r\n{more}\r\n")
    }
}

/// A configuration by which a tenant's organization has an upstream key of its own.
pub(crate) fn own_upstream_key(folder: &TempDir, tenant: &Tenant) -> PathBuf {
    let path = folder.path().join("mindweave.toml");
    let slug = format!("org-{}", tenant.org_id.simple());
    let text = format!("[upstream.keys]\n{slug} = \"sk-ant-api03-of-its-own\"\n");
    std::fs::write(&path, text).unwrap();
    path
}

/// What an upstream got.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Received>>>);

impl Seen {
    pub(crate) fn note(&self, received: &Received) {
        self.0.lock().unwrap().push(received.clone());
    }

    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The only request since the last look.
    pub(crate) fn only(&self) -> Received {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "the upstream got one request: {all:?}");
        all.remove(0)
    }
}

/// An upstream that notes every request and answers all alike.
pub(crate) async fn noting(
    answer: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> (Upstream, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    let upstream = Upstream::start(move |received| {
        notes.note(&received);
        let answer = answer();
        async { answer }
    })
    .await;
    (upstream, seen)
}

/// An answer of JSON text.
pub(crate) fn json_answer(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    typed(status, "application/json", whole(text))
}

/// A stream of events.
pub(crate) fn event_stream(body: Body) -> Response<Body> {
    typed(200, "text/event-stream; charset=utf-8", body)
}

pub(crate) fn typed(status: u16, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.insert("request-id", UPSTREAM_REQUEST_ID.parse().unwrap());
    response
}

/// The id that these upstreams give to every request.
pub(crate) const UPSTREAM_REQUEST_ID: &str = "req_011UPSTREAM";

/// A message as the API answers it.
pub(crate) fn message() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
        "content": [{ "type": "text", "text": "Hello" }],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {
            "input_tokens": 11, "output_tokens": 22,
            "cache_read_input_tokens": 33, "cache_creation_input_tokens": 44,
            "cache_creation": { "ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 4 },
        },
    })
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn brotli(data: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 22);
    encoder.write_all(data).unwrap();
    encoder.into_inner()
}

/// Data as the chunks of a chunked body, with its end.
pub(crate) fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
