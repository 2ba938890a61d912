//! A server under a test's control, at the other end of real connections.

use std::future::Future;
use std::time::Duration;

use http::Request;
use metrics::Gauge;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::connector::CountedConnector;
use super::{Target, UpstreamOptions};
use crate::counted_io::{CountedIo, OpenConnections};
use crate::forward_body::ForwardBody;

/// What never comes is waited for no longer.
const LONG: Duration = Duration::from_secs(20);

/// An answer that ends by its length.
pub(super) const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
/// The beginning of one.
pub(super) const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";
/// The beginning of one in chunks.
pub(super) const CHUNK: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
/// Its end.
pub(super) const LAST_CHUNK: &str = "0\r\n\r\n";

/// Runs a test as a data-plane thread runs its tasks.
pub(super) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new()
        .block_on(&runtime, async { tokio::time::timeout(LONG, test).await })
        .expect("what the test waits for didn't come");
}

/// Gives other tasks turns until something holds.
pub(super) async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

pub(super) fn options() -> UpstreamOptions {
    let tls = rustls::ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    UpstreamOptions {
        http2: false,
        connect_timeout: LONG,
        first_byte_timeout: LONG,
        idle_timeout: LONG,
        tls,
    }
}

pub(super) fn connector() -> CountedConnector {
    CountedConnector::new(&options(), OpenConnections(Gauge::noop()))
}

pub(super) fn request() -> Box<Request<ForwardBody>> {
    with_body(ForwardBody::Whole {
        data: None,
        trailers: None,
    })
}

pub(super) fn with_body(body: ForwardBody) -> Box<Request<ForwardBody>> {
    let request = Request::post("/v1/messages").header("host", "upstream");
    Box::new(request.body(body).unwrap())
}

pub(super) struct Server {
    listener: TcpListener,
    pub(super) target: Target,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let target = Target::new(&base_url, None).unwrap();
        Self { listener, target }
    }

    /// A new connection to it, both ends.
    pub(super) async fn connect(&self) -> (CountedIo, ServerEnd) {
        let server = self.target.server().unwrap();
        let connecting = tower_service::Service::call(&mut connector(), server);
        let (io, end) = tokio::join!(connecting, self.accept());
        (io.unwrap(), end)
    }

    pub(super) async fn accept(&self) -> ServerEnd {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        ServerEnd(stream)
    }

    /// Accepts a connection and answers the first request on it.
    pub(super) async fn answer(&self, answer: &str) -> ServerEnd {
        let mut end = self.accept().await;
        end.answer(answer).await;
        end
    }
}

/// The server's end of a connection. Dropped, it is closed.
pub(super) struct ServerEnd(TcpStream);

impl ServerEnd {
    /// Reads on up to these words.
    pub(super) async fn read_until(&mut self, words: &str) {
        let mut seen = Vec::new();
        while !seen.ends_with(words.as_bytes()) {
            let next = self.0.read_u8().await;
            seen.push(next.expect("the connection was closed"));
        }
    }

    pub(super) async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut read = vec![0; length];
        self.0.read_exact(&mut read).await.unwrap();
        read
    }

    /// Reads the head of a request.
    pub(super) async fn read_head(&mut self) {
        self.read_until("\r\n\r\n").await;
    }

    pub(super) async fn say(&mut self, words: &str) {
        self.0.write_all(words.as_bytes()).await.unwrap();
    }

    /// Answers a request without a body.
    pub(super) async fn answer(&mut self, answer: &str) {
        self.read_head().await;
        self.say(answer).await;
    }

    /// Waits until the gateway's end is closed, and nothing more was sent.
    pub(super) async fn closed(mut self) {
        let mut rest = Vec::new();
        // It may be reset instead, if something was left to be read.
        drop(self.0.read_to_end(&mut rest).await);
        assert_eq!(rest, b"", "something was sent");
    }
}
