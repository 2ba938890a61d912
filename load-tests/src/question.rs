//! A question that is asked again and again, and a connection that it is asked on.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use testkit::Gateway;
use tokio::net::TcpStream;

use crate::many_keys;

/// Whom to ask for what.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    address: SocketAddr,
    /// Any of so many asks, by turns that nobody can foresee.
    keys: u32,
    /// Beside the key and what every request has.
    headers: HeaderMap,
    body: Bytes,
}

impl Question {
    pub(crate) fn of(gateway: &Gateway, keys: u32, body: impl Into<Bytes>) -> Self {
        let url = gateway.ready_text("proxy_url");
        Self {
            address: url.trim_start_matches("http://").parse().unwrap(),
            keys,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The same with another header.
    pub(crate) fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        let value = value.to_string().parse().unwrap();
        self.headers.insert(name, value);
        self
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static("/v1/messages");
        *request.headers_mut() = self.headers.clone();
        let key = many_keys::text(rand::random_range(0..self.keys));
        let headers = request.headers_mut();
        headers.insert("host", self.address.to_string().parse().unwrap());
        headers.insert("x-api-key", key.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        request
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Caller {
    question: Arc<Question>,
    sender: SendRequest<Full<Bytes>>,
}

impl Caller {
    pub(crate) async fn connect(question: &Arc<Question>) -> Self {
        Self {
            question: Arc::clone(question),
            sender: connect(question.address).await,
        }
    }

    /// Begins anew if the connection was closed.
    pub(crate) async fn connected(&mut self) {
        if self.sender.is_closed() {
            self.sender = connect(self.question.address).await;
        }
    }

    /// Asks once; the body of the answer is still coming.
    pub(crate) async fn begin(&mut self) -> Result<http::Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(self.question.request()).await
    }
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    testkit::spawn(async move {
        // Whoever asks on it sees that it is gone.
        let _ended = connection.await;
    });
    sender
}
