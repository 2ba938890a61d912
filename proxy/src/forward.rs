//! The request as the upstream gets it, and the wait for the head of its answer.

use std::rc::Rc;

use domain::error_chain;
use http::header::{ACCEPT_ENCODING, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response};

use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward_body::ForwardBody;
use crate::headers;
use crate::keys::KeyRecord;
use crate::upload::UploadWatch;
use crate::upstream::{SendError, Target, UpstreamBody};

/// What a request needs beyond what the caller sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// An answer without a content coding, because it will be edited.
    pub(crate) plain_answer: bool,
    /// The upstream is spoken to in HTTP/1.1.
    pub(crate) http1: bool,
}

/// Makes the request to the upstream: as received, less what belongs to the connection and the caller's key.
///
/// # Errors
/// If the path makes no URL.
pub(crate) fn prepare(
    head: &mut Parts,
    key: &KeyRecord,
    path: &PathAndQuery,
    body: ForwardBody,
    shape: Shape,
) -> Result<Box<Request<ForwardBody>>, Failure> {
    let mut headers = std::mem::take(&mut head.headers);
    headers::strip_request(&mut headers);
    key.target.authorize(&mut headers);
    if shape.plain_answer {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let unknown = |_| Failure::PathUnknown;
    let uri = if shape.http1 {
        let (uri, host) = key.target.origin_form(path).map_err(unknown)?;
        headers.insert(HOST, host);
        uri
    } else {
        key.target.uri(path).map_err(unknown)?
    };
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Sends it and waits for the head of the answer.
///
/// # Errors
/// Says whose fault it is that there is none: the upstream's, or that of a caller still sending.
pub(crate) async fn send(
    exchange: &mut Exchange,
    target: &Target,
    request: Box<Request<ForwardBody>>,
    upload: Option<&UploadWatch>,
) -> Result<Response<UpstreamBody>, Failure> {
    let worker = Rc::clone(exchange.worker());
    exchange.forwarding();
    let answer = worker.upstream.send(target, request, upload);
    let answer = exchange.wait_for(answer).await;
    answer.map_err(|error| {
        if let Some(failure) = upload.and_then(UploadWatch::failure) {
            return failure;
        }
        tracing::warn!(request_id = %exchange.id, error = %error_chain(&error), "no answer from the upstream");
        match error {
            SendError::Connect(_) => {
                exchange.not_forwarded();
                Failure::UpstreamUnreachable
            }
            SendError::Broken(_) => Failure::UpstreamUnreachable,
            SendError::Silent => Failure::UpstreamTimeout,
        }
    })
}
