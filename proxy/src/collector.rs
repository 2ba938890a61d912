//! Requests of the gateway's own: it looks at objects upstream so that what they show is metered, though nobody else looks.
//!
//! Guarantees: what is seen takes the same way as in a caller's answer and waits for room; one request is under way at a time,
//! on one data-plane thread; none of them counts among the requests of callers.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use domain::Endpoint;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use tokio::sync::{mpsc, oneshot};

use crate::answer;
use crate::ended::End;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward::{self, Shape};
use crate::forward_body::ForwardBody;
use crate::keys::KeyRecord;
use crate::relay::Flow;
use crate::worker::Worker;

/// Objects are small. Of a longer answer the rest is metered but not kept.
const MAX_KEPT_BYTES: usize = 4 << 20;
/// Betas that the endpoints need, which their official clients send on their own.
const BETAS: [(Endpoint, &str); 2] = [
    (Endpoint::Sessions, "managed-agents-2026-04-01"),
    (Endpoint::Dreams, "dreaming-2026-04-21"),
];
const VERSION: &str = "2023-06-01";

/// Sends requests on the gateway's own account.
#[derive(Debug, Clone)]
pub struct Collector(mpsc::Sender<Errand>);

/// The other end of a [`Collector`].
#[derive(Debug)]
pub struct Errands(mpsc::Receiver<Errand>);

#[derive(Debug)]
struct Errand {
    key: Arc<KeyRecord>,
    id: String,
    path: String,
    answer: oneshot::Sender<Result<Seen, CollectError>>,
}

/// What an upstream answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its status.
    pub status: u16,
    /// The body, unless it is too long to be kept.
    pub body: Bytes,
}

/// Why nothing was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// The upstream gave no answer.
    #[error("no answer from the upstream")]
    NoAnswer,
    /// The answer broke off.
    #[error("the upstream's answer broke off")]
    Broken,
    /// The data plane is gone.
    #[error("the gateway is shutting down")]
    Ended,
}

impl Collector {
    /// A collector, and what the data plane needs to serve it.
    #[must_use]
    pub fn new() -> (Self, Errands) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), Errands(receiver))
    }

    /// Gets a path of the API about an object, with the upstream key that serves `key`.
    ///
    /// # Errors
    /// If there is no whole answer; what came of it is metered all the same.
    pub async fn get(
        &self,
        key: Arc<KeyRecord>,
        id: &str,
        path: String,
    ) -> Result<Seen, CollectError> {
        let (answer, seen) = oneshot::channel();
        let errand = Errand {
            key,
            id: id.to_owned(),
            path,
            answer,
        };
        self.0.send(errand).await.map_err(|_| CollectError::Ended)?;
        seen.await.map_err(|_| CollectError::Ended)?
    }
}

impl Errands {
    /// Serves a collector until it is gone.
    pub(crate) async fn run(mut self, worker: Rc<Worker>) {
        while let Some(errand) = self.0.recv().await {
            let Errand {
                key,
                id,
                path,
                answer,
            } = errand;
            let seen = get(&worker, key, id, &path).await;
            // Whoever asked may have been stopped.
            drop(answer.send(seen));
        }
    }
}

async fn get(
    worker: &Rc<Worker>,
    key: Arc<KeyRecord>,
    id: String,
    path: &str,
) -> Result<Seen, CollectError> {
    let endpoint = Endpoint::of_path(path).unwrap_or(Endpoint::Other);
    let http1 = !worker.options.upstream.http2;
    let request = request(&key, endpoint, path, http1).map_err(|_| CollectError::NoAnswer)?;
    let mut exchange = Exchange::begin_own(worker, endpoint);
    exchange.will_show(Some(id), Arc::clone(&key));
    let response = match forward::send(&mut exchange, &key.target, request, None).await {
        Ok(response) => response,
        Err(failure) => {
            exchange.settle(End::Failed(failure));
            return Err(CollectError::NoAnswer);
        }
    };
    let (head, body) = response.into_parts();
    answer::note(&mut exchange, head.status.as_u16(), &head.headers);
    let mut flow = Flow::new(body, exchange, worker.options.upstream.idle_timeout);
    let mut kept = BytesMut::new();
    while let Some(frame) = poll_fn(|ctx| flow.poll_accounted(ctx)).await {
        let Ok(frame) = frame else {
            flow.settle(End::UpstreamBroke);
            return Err(CollectError::Broken);
        };
        if let Some(data) = frame.data_ref()
            && kept.len() + data.len() <= MAX_KEPT_BYTES
        {
            kept.extend_from_slice(data);
        }
    }
    flow.settle(End::Complete);
    // Whoever is told of it may see to it that nobody asks again.
    flow.durable().await;
    Ok(Seen {
        status: head.status.as_u16(),
        body: kept.freeze(),
    })
}

fn request(
    key: &KeyRecord,
    endpoint: Endpoint,
    path: &str,
    http1: bool,
) -> Result<Box<Request<ForwardBody>>, Failure> {
    let path: PathAndQuery = path.parse().map_err(|_| Failure::PathUnknown)?;
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("anthropic-version"),
        HeaderValue::from_static(VERSION),
    );
    for (_, beta) in BETAS.iter().filter(|(of, _)| *of == endpoint) {
        headers.insert(
            HeaderName::from_static("anthropic-beta"),
            HeaderValue::from_static(beta),
        );
    }
    let mut head = Request::new(()).into_parts().0;
    head.method = Method::GET;
    head.headers = headers;
    let body = ForwardBody::Whole {
        data: None,
        trailers: None,
    };
    let shape = Shape {
        plain_answer: true,
        http1,
    };
    forward::prepare(&mut head, key, &path, body, shape)
}
