//! A request's way through the gateway, one phase after the other.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use domain::Endpoint;
use domain::client_address::{X_FORWARDED_FOR, client_address};
use http::header::EXPECT;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use crate::admission;
use crate::answer;
use crate::authenticate::authenticate;
use crate::batch_gate;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward::{self, Shape};
use crate::forward_body::ForwardBody;
use crate::headers;
use crate::keys::KeyRecord;
use crate::looks::Looks;
use crate::options::Options;
use crate::read_body::{ReadBody, read_body};
use crate::request_body::Discard;
use crate::rescue;
use crate::response_body::ResponseBody;
use crate::route::{self, ObjectRoute, Route};
use crate::upload::{UploadWatch, Verdict};
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
        Err(Refusal::Failed(failure)) => return rescue::answer(exchange, failure).await,
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

/// A request that may be forwarded. It moves from hand to hand.
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
) -> Result<Box<Admitted>, Refusal> {
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

    let hold_up_to = batch_gate::hold_up_to(exchange, &known.key, known.address);
    let looks = Looks::into(exchange, &head, &known.key, known.address);
    let ReadBody {
        inspected,
        body,
        upload,
    } = read_body(exchange, &head, body, looks, hold_up_to).await?;
    let caller = (&known.key, known.address);
    let body = match admission::admit(exchange, &head, caller, inspected, body).await {
        Ok(body) => body,
        Err(failure) => {
            if let Some(upload) = upload {
                upload.discard_rest(head.headers.contains_key(EXPECT)).await;
            }
            return Err(failure.into());
        }
    };
    Ok(Box::new(Admitted {
        head,
        known,
        body,
        upload,
    }))
}

/// Gets an admitted request its answer.
async fn complete(
    mut exchange: Box<Exchange>,
    peer: Peer,
    admitted: Box<Admitted>,
) -> Response<ResponseBody> {
    let Admitted {
        head,
        known,
        body,
        upload,
    } = *admitted;
    let asked_first = head.headers.contains_key(EXPECT);
    let answer = ask_upstream(&mut exchange, peer, head, &known, body, upload.as_ref()).await;
    let verdict = upload.as_ref().and_then(UploadWatch::verdict);
    match answer {
        Ok(answer) => {
            if let Some(Verdict::Passed(notes)) = verdict {
                exchange.note(notes.clone());
            }
            answer::relay(exchange, answer).await
        }
        Err(failure) => {
            if let Some(Verdict::Denied(denial)) = verdict {
                exchange.deny_admitted(denial.clone());
            }
            if let Some(upload) = upload {
                upload.discard_rest(asked_first).await;
            }
            rescue::answer(exchange, failure).await
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
    let own_origin = (known.endpoint == Endpoint::Batches)
        .then(|| route::own_origin(&head, peer, &worker.options.trusted_proxies));
    let shape = Shape {
        plain_answer: own_origin.is_some(),
        http1: !worker.options.upstream.http2,
    };
    let request = forward::prepare(&mut head, &known.key, &known.path, body, shape)?;
    let response = forward::send(exchange, &known.key.target, request, upload).await?;
    Ok(answer::UpstreamAnswer {
        response,
        own_origin,
    })
}

/// What the head of a request says: what it is for, and whose it is.
struct Known {
    endpoint: Endpoint,
    path: PathAndQuery,
    key: Arc<KeyRecord>,
    /// The caller's.
    address: IpAddr,
}

fn identify(exchange: &mut Exchange, peer: Peer, head: &Parts) -> Result<Known, Refusal> {
    let worker = Rc::clone(exchange.worker());
    if headers::wire_size(&head.headers) > Options::MAX_HEADER_BYTES {
        return Err(Failure::HeadersTooLarge.into());
    }
    let (endpoint, path, object) = match route::route(&head.method, &head.uri) {
        Route::Api {
            endpoint,
            path,
            object,
        } => (endpoint, path, object),
        Route::Probe => return Err(Refusal::Probe),
        Route::Unknown => return Err(Failure::PathUnknown.into()),
    };
    exchange.endpoint = Some(endpoint);
    let forwarded = head.headers.get_all(X_FORWARDED_FOR).iter();
    let forwarded = forwarded.map(HeaderValue::as_bytes);
    let address = client_address(peer.address, forwarded, &worker.options.trusted_proxies);
    let key = authenticate(
        &worker.keys,
        &head.headers,
        &head.method,
        address,
        worker.clock.now(),
    )?;
    if let Some(object) = object {
        about_objects(exchange, &head.method, &key, object)?;
    } else if endpoint == Endpoint::Organizations && !key.own_upstream_key {
        return Err(Failure::EndpointNotAllowed.into());
    }
    Ok(Known {
        endpoint,
        path,
        key,
        address,
    })
}

/// Keeps the objects of others out of reach, and notes what becomes of one's own.
fn about_objects(
    exchange: &mut Exchange,
    method: &Method,
    key: &Arc<KeyRecord>,
    object: ObjectRoute,
) -> Result<(), Failure> {
    let tenant = (key.project_id, key.own_upstream_key);
    exchange.worker().objects.reach(method, &object, tenant)?;
    let ObjectRoute { kind, id } = object;
    match id {
        Some(id) => {
            if exchange.endpoint == Some(Endpoint::BatchResults) || shows_totals(exchange, method) {
                exchange.will_show(Some(id), Arc::clone(key));
            }
        }
        None if method == Method::POST => {
            exchange.will_create(kind);
            if shows_totals(exchange, method) {
                exchange.will_show(None, Arc::clone(key));
            }
        }
        None => {
            if shows_totals(exchange, method) {
                exchange.will_show(None, Arc::clone(key));
            }
        }
    }
    Ok(())
}

/// Whether sessions or dreams are in the answer, which say what they have consumed.
fn shows_totals(exchange: &Exchange, method: &Method) -> bool {
    let endpoint = matches!(
        exchange.endpoint,
        Some(Endpoint::Sessions | Endpoint::Dreams)
    );
    endpoint && matches!(*method, Method::GET | Method::POST)
}
