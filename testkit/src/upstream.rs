//! Upstreams that do as they are told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{Certificate, Wire, spawn};

/// The body of an upstream's answer.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// A request as the upstream got it, read whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// The HTTP version it came in.
    pub version: Version,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, if there were any.
    pub trailers: Option<HeaderMap>,
}

/// A listening upstream.
#[derive(Debug)]
pub struct Upstream {
    scheme: &'static str,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Answers every request by a function of it.
    pub async fn start<F>(answer: impl Fn(Received) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        Self::accept("http", move |stream| {
            serve(TokioIo::new(stream), Arc::clone(&answer))
        })
        .await
    }

    /// The same over TLS, with HTTP/2 and HTTP/1.1.
    pub async fn tls<F>(
        certificate: &Certificate,
        answer: impl Fn(Received) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        let acceptor = TlsAcceptor::from(certificate.server());
        Self::accept("https", move |stream| {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                // A handshake that fails shows at the other side.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(TokioIo::new(stream), answer).await;
                }
            }
        })
        .await
    }

    /// Does with every connection what a function says, once it is secured by TLS.
    pub async fn tls_wire<F>(
        certificate: &Certificate,
        speak: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let speak = Arc::new(speak);
        let acceptor = TlsAcceptor::from(certificate.server());
        Self::accept("https", move |stream| {
            let (acceptor, speak) = (acceptor.clone(), Arc::clone(&speak));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    speak(stream).await;
                }
            }
        })
        .await
    }

    /// Does with every connection what a function says.
    pub async fn wire<F>(speak: impl Fn(Wire) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::accept("http", move |stream| speak(Wire::over(stream))).await
    }

    async fn accept<F>(
        scheme: &'static str,
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                spawn(serve(stream));
            }
        });
        Self {
            scheme,
            address,
            connections,
        }
    }

    /// Nobody is there: connections are refused.
    pub async fn absent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            scheme: "http",
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
        }
    }

    /// A simulator; like the API, it names itself in absolute URLs and not the gateway.
    pub async fn simulator() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = simulator::Options {
            base_url_override: Some("https://api.anthropic.com".to_owned()),
            ..simulator::Options::default()
        };
        spawn(async move {
            simulator::Simulator::new(options)
                .serve(listener, std::future::pending())
                .await
                .unwrap();
        });
        Self {
            scheme: "http",
            address,
            connections: Arc::default(),
        }
    }

    /// Its origin.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How many connections were made to it so far; a simulator doesn't count.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<I, F>(io: I, answer: Arc<impl Fn(Received) -> F + Send + Sync + 'static>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = Arc::clone(&answer);
        async move {
            let Some(received) = receive(request).await else {
                // The gateway broke off: nobody reads this.
                return Ok::<_, Infallible>(Response::new(whole("")));
            };
            Ok(answer(received).await)
        }
    });
    // How a connection ends is for the test to see at the other side.
    let mut server = auto::Builder::new(TokioExecutor::new());
    // It shall take whatever the gateway forwards.
    server.http1().max_headers(1_024);
    drop(server.serve_connection(io, service).await);
}

async fn receive(request: Request<Incoming>) -> Option<Received> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok()?;
    let trailers = body.trailers().cloned();
    Some(Received {
        version: head.version,
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body: body.to_bytes(),
        trailers,
    })
}

/// A body that is all there.
pub fn whole(data: impl Into<Bytes>) -> Body {
    Full::new(data.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body that comes as the sender gives it; an error breaks it off, dropping the sender ends it.
#[must_use]
pub fn paced() -> (mpsc::Sender<std::io::Result<Frame<Bytes>>>, Body) {
    let (sender, mut receiver) = mpsc::channel(16);
    let frames = futures_util::stream::poll_fn(move |ctx: &mut std::task::Context<'_>| {
        receiver.poll_recv(ctx)
    });
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

/// A body of these pieces, each a frame.
#[must_use]
pub fn pieces(pieces: Vec<Bytes>) -> Body {
    let mut pieces = pieces.into_iter();
    BodyExt::boxed(StreamBody::new(futures_util::stream::poll_fn(
        move |_: &mut std::task::Context<'_>| {
            std::task::Poll::Ready(pieces.next().map(|piece| Ok(Frame::data(piece))))
        },
    )))
}
