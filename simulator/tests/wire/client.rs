//! A running simulator and a small client for it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A simulator on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    shutdown: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

/// An answer, read to its end or to where it broke.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) frames: Vec<Bytes>,
    pub(crate) broke: bool,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default(), false).await
    }

    pub(crate) async fn with(options: Options, http2_only: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let serving = Simulator::new(options).serve(listener, async {
            stopped.await.ok();
        });
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `stop`")]
        let server = tokio::spawn(serving);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http2_only)
            .build_http();
        Self {
            address,
            client,
            shutdown: Some(shutdown),
            server: Some(server),
        }
    }

    /// Asks the server to stop; gives what `serve` will return.
    pub(crate) fn stop(&mut self) -> JoinHandle<std::io::Result<()>> {
        self.shutdown.take().unwrap().send(()).unwrap();
        self.server.take().unwrap()
    }

    pub(crate) async fn open(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, hyper_util::client::legacy::Error> {
        self.client.request(request).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, mut body) = self.open(request).await.unwrap().into_parts();
        let (mut frames, mut broke) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => frames.extend(frame.into_data().ok()),
                Err(_) => broke = true,
            }
            if broke {
                break;
            }
        }
        Answer {
            status: head.status,
            headers: head.headers,
            frames,
            broke,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, steering: &[(&str, &str)]) -> Answer {
        self.send(self.request("POST", path, body.to_string(), steering))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, "", &[])).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path, "", &[])).await
    }

    /// A request with a key, a version and `x-simulator-` headers.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Bytes>,
        steering: &[(&str, &str)],
    ) -> Request<Full<Bytes>> {
        let mut request = self
            .bare(method, path)
            .header("x-api-key", "sk-ant-test")
            .header("anthropic-version", "2023-06-01");
        for (name, value) in steering {
            request = request.header(format!("x-simulator-{name}"), *value);
        }
        request.body(Full::new(body.into())).unwrap()
    }

    pub(crate) fn bare(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
    }
}

impl Answer {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.frames.concat()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The events of a stream, as (name, data).
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        parse_events(&self.body())
    }
}

pub(crate) fn parse_events(body: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(body).unwrap();
    let event = |text: &str| {
        let (name, data) = text.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name);
        (name.to_owned(), data)
    };
    text.split_terminator("\n\n").map(event).collect()
}

/// A good request body with `changes` in place.
pub(crate) fn message(changes: &Value) -> Value {
    let mut body = json!({
        "model": "claude-sonnet-4-5",
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": "Hello, whoever you are!"}],
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
