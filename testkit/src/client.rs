//! An HTTP client for tests: one call, one answer, read whole; or frame by frame.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::upstream::{Body, whole};
use crate::{Certificate, PATIENCE};

/// Talks to one origin. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    origin: String,
    headers: HeaderMap,
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, if there were any.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// `error.details.error_code` of the envelope.
    #[must_use]
    pub fn error_code(&self) -> String {
        self.json()["error"]["details"]["error_code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// A header's text; empty if it isn't there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// Over HTTP/1.1, with a MindWeave key.
    #[must_use]
    pub fn new(origin: &str, api_key: &str) -> Self {
        Self::build(origin, api_key, trusting_nobody(), false)
    }

    /// Over HTTP/2 by prior knowledge.
    #[must_use]
    pub fn http2(origin: &str, api_key: &str) -> Self {
        Self::build(origin, api_key, trusting_nobody(), true)
    }

    /// Over TLS, with HTTP/2 or HTTP/1.1.
    #[must_use]
    pub fn tls(origin: &str, api_key: &str, trusted: &Certificate, http2: bool) -> Self {
        Self::build(origin, api_key, trusted.client(), http2)
    }

    fn build(origin: &str, api_key: &str, tls: ClientConfig, http2: bool) -> Self {
        let mut headers = HeaderMap::new();
        if !api_key.is_empty() {
            headers.insert("x-api-key", api_key.parse().unwrap());
        }
        headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let connector = if http2 {
            connector.enable_http2().wrap_connector(tcp)
        } else {
            connector.enable_http1().wrap_connector(tcp)
        };
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build(connector);
        Self {
            origin: origin.to_owned(),
            headers,
            http,
        }
    }

    /// The same client with another header on every request.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The same client with these headers beside its own.
    #[must_use]
    pub fn with_all(mut self, headers: &HeaderMap) -> Self {
        for (name, value) in headers {
            self.headers.append(name, value.clone());
        }
        self
    }

    /// Sends a request, and gives the head of the answer with its body still coming.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn begin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        self.begin_body(method, path, whole(body)).await
    }

    /// The same with a body that comes as it likes.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn begin_body(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.origin).parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        self.http.request(request).await
    }

    /// Sends a request and reads the answer whole.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send_body(method, path, whole(body)).await
    }

    /// The same with a body that comes as it likes.
    pub async fn send_body(&self, method: Method, path: &str, body: Body) -> Answer {
        let exchange = async {
            let response = self.begin_body(method, path, body).await;
            let response = response.expect("an answer");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body");
            let trailers = body.trailers().cloned();
            Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
                trailers,
            }
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an answer in time")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// POST of a small question to `/v1/messages`.
    pub async fn ask(&self) -> Answer {
        self.post("/v1/messages", &question(false)).await
    }
}

fn trusting_nobody() -> ClientConfig {
    ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// A small question.
#[must_use]
pub fn question(stream: bool) -> Value {
    serde_json::json!({
        "model": "claude-sonnet-5",
        "max_tokens": 32,
        "stream": stream,
        "messages": [{ "role": "user", "content": "Hello" }],
    })
}
