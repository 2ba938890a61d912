//! A request's way through the gateway, one phase after the other.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use domain::Endpoint;
use http::header::EXPECT;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use crate::answer::{self, BatchAnswer};
use crate::authenticate::authenticate;
use crate::client_address::client_address;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward::{self, Shape};
use crate::forward_body::ForwardBody;
use crate::headers;
use crate::inspect::Inspected;
use crate::keys::KeyRecord;
use crate::options::Options;
use crate::read_body::{ReadBody, read_body};
use crate::request_body::Discard;
use crate::rescue;
use crate::response_body::ResponseBody;
use crate::route::{self, BatchPath, Route};
use crate::upload::UploadWatch;
use crate::worker::Worker;

/// What is known of the connection a request came on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) tls: bool,
}

/// Answers one request.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::begin(&worker);
    let admitted = match serve(&mut exchange, peer, request).await {
        Ok(admitted) => admitted,
        Err(Refusal::Probe) => return rescue::probe_answer(exchange),
        Err(Refusal::Failed(failure)) => return rescue::answer(exchange, failure),
    };
    if !exchange.is_to_be_drained() {
        return complete(exchange, peer, admitted).await;
    }
    // In a task of its own it outlives a caller that leaves before the head of the answer; the answer is then dropped, and
    // thereby drained.
    let task = worker.tasks.spawn_local(complete(exchange, peer, admitted));
    match task.await {
        Ok(response) => response,
        // Nobody cancels it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Why a request goes no further.
enum Refusal {
    /// It asked whether anybody is there.
    Probe,
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A request that may be forwarded.
struct Admitted {
    head: Parts,
    known: Known,
    body: ForwardBody,
    upload: Option<UploadWatch>,
}

async fn serve(
    exchange: &mut Exchange,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Admitted, Refusal> {
    let (head, body) = request.into_parts();

    let known = match identify(exchange, peer, &head) {
        Ok(known) => known,
        Err(refusal) => {
            // A caller that is still sending would not get to read why.
            if !head.headers.contains_key(EXPECT) && !body.is_end_stream() {
                Discard::BRIEF.discard(body).await;
            }
            return Err(refusal);
        }
    };

    let ReadBody {
        inspected,
        body,
        upload,
    } = read_body(exchange, &head, known.endpoint, body).await?;
    if let Err(failure) = admit(exchange, &head.method, &known.key, inspected) {
        drop(body);
        if let Some(upload) = upload {
            upload.discard_rest(head.headers.contains_key(EXPECT)).await;
        }
        return Err(failure.into());
    }
    Ok(Admitted {
        head,
        known,
        body,
        upload,
    })
}

/// Gets an admitted request its answer.
async fn complete(
    mut exchange: Exchange,
    peer: Peer,
    Admitted {
        head,
        known,
        body,
        upload,
    }: Admitted,
) -> Response<ResponseBody> {
    let asked_first = head.headers.contains_key(EXPECT);
    match ask_upstream(&mut exchange, peer, head, &known, body, upload.as_ref()).await {
        Ok(answer) => answer::relay(exchange, answer).await,
        Err(failure) => {
            if let Some(upload) = upload {
                upload.discard_rest(asked_first).await;
            }
            rescue::answer(exchange, failure)
        }
    }
}

/// Forwards an admitted request, and gives the answer once its head is here.
async fn ask_upstream(
    exchange: &mut Exchange,
    peer: Peer,
    mut head: Parts,
    known: &Known,
    body: ForwardBody,
    upload: Option<&UploadWatch>,
) -> Result<answer::UpstreamAnswer, Failure> {
    let worker = Rc::clone(exchange.worker());
    // Batch objects are edited; this is where their URLs shall lead.
    let batch = (known.endpoint == Endpoint::Batches).then(|| BatchAnswer {
        own_origin: route::own_origin(&head, peer, &worker.options.trusted_proxies),
        creates_batch: head.method == Method::POST
            && BatchPath::of(known.path.path()).is_collection,
    });
    let shape = Shape {
        plain_answer: batch.is_some(),
        http1: !worker.options.upstream.http2,
    };
    let request = forward::prepare(&mut head, &known.key, &known.path, body, shape)?;
    let response = forward::send(exchange, request, upload).await?;
    Ok(answer::UpstreamAnswer { response, batch })
}

/// What the head of a request says: what it is for, and whose it is.
struct Known {
    endpoint: Endpoint,
    path: PathAndQuery,
    key: Arc<KeyRecord>,
}

fn identify(exchange: &mut Exchange, peer: Peer, head: &Parts) -> Result<Known, Refusal> {
    let worker = Rc::clone(exchange.worker());
    if headers::wire_size(&head.headers) > Options::MAX_HEADER_BYTES {
        return Err(Failure::HeadersTooLarge.into());
    }
    let (endpoint, path) = match route::route(&head.method, &head.uri) {
        Route::Api { endpoint, path } => (endpoint, path),
        Route::Probe => return Err(Refusal::Probe),
        Route::Unknown => return Err(Failure::PathUnknown.into()),
    };
    exchange.endpoint = Some(endpoint);
    let address = client_address(peer.address, &head.headers, &worker.options.trusted_proxies);
    let key = authenticate(
        &worker.keys,
        &head.headers,
        &head.method,
        address,
        worker.clock.now(),
    )?;
    if endpoint == Endpoint::BatchResults
        && let Some(batch_id) = BatchPath::of(path.path()).id
    {
        exchange.download(batch_id, Arc::clone(&key));
    }
    Ok(Known {
        endpoint,
        path,
        key,
    })
}

/// Takes the place of the event before any money is spent.
fn admit(
    exchange: &mut Exchange,
    method: &Method,
    key: &Arc<KeyRecord>,
    inspected: Inspected,
) -> Result<(), Failure> {
    if method == Method::POST {
        let slot = exchange
            .worker()
            .lane
            .reserve()
            .ok_or(Failure::Overloaded)?;
        exchange.admit(Arc::clone(key), inspected, slot);
    }
    Ok(())
}
