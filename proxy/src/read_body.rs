//! Taking a request's body: whole and looked into where it names a model or rules want to know, streamed through otherwise.

use std::rc::Rc;

use bytes::Bytes;
use domain::Endpoint;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use hyper::body::Incoming;

use crate::coding::{self, DecodeError};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward_body::ForwardBody;
use crate::inspect::{Inspected, inspect, inspect_any};
use crate::looks::Looks;
use crate::options::Options;
use crate::request_body::{self, Discard, Limits};
use crate::text::Text;
use crate::upload::{Upload, UploadWatch};
use crate::worker::Worker;

/// A body ready to be forwarded, and what is known of it.
pub(crate) struct ReadBody {
    pub(crate) inspected: Inspected,
    pub(crate) body: ForwardBody,
    /// Of a streamed body: how its upload goes.
    pub(crate) upload: Option<UploadWatch>,
}

/// Takes the body of a request. One that isn't looked into is held whole all the same if it says that it has so many bytes at the
/// most.
///
/// # Errors
/// If it is too large, too slow, broken, or isn't what the endpoint takes.
pub(crate) async fn read_body(
    exchange: &mut Exchange,
    head: &Parts,
    body: Incoming,
    looks: Looks,
    hold_up_to: u64,
) -> Result<ReadBody, Failure> {
    let worker = Rc::clone(exchange.worker());
    let endpoint = exchange.endpoint.unwrap_or(Endpoint::Other);
    let max_bytes = match looks {
        Looks::Not => body_limit(&worker, endpoint),
        Looks::ForAModel | Looks::ForRules | Looks::IfReadable => {
            body_limit(&worker, endpoint).min(Looks::MOST_BYTES)
        }
    };
    if body.size_hint().lower() > max_bytes {
        // A caller that asked first (Expect) has not begun to send.
        if !head.headers.contains_key(EXPECT) {
            Discard::PATIENT.discard(body).await;
        }
        return Err(Failure::BodyTooLarge { limit: max_bytes });
    }
    let limits = Limits {
        max_bytes,
        idle: Options::BODY_IDLE_TIMEOUT,
    };
    let is_held = body.size_hint().exact().is_some_and(|it| it <= hold_up_to);
    if looks == Looks::Not && (!is_held || body.is_end_stream()) {
        let (upload, watch) = Upload::new(body, limits);
        return Ok(ReadBody {
            inspected: Inspected::default(),
            body: ForwardBody::Stream(upload),
            upload: Some(watch),
        });
    }
    let collected = request_body::collect(body, limits, &worker.bodies);
    let collected = exchange.wait_for(collected).await?;
    let inspected = look_into(looks, &head.headers, &collected.data, max_bytes)?;
    Ok(ReadBody {
        inspected,
        body: collected.into(),
        upload: None,
    })
}

/// How many bytes a body may have, with its content coding and without.
pub(crate) fn body_limit(worker: &Worker, endpoint: Endpoint) -> u64 {
    endpoint_limit(endpoint).min(worker.options.max_body_bytes)
}

/// The API's own limits, in bytes.
pub(crate) fn endpoint_limit(endpoint: Endpoint) -> u64 {
    match endpoint {
        Endpoint::Batches => 256 << 20,
        Endpoint::Files | Endpoint::Other => 500 << 20,
        Endpoint::Messages
        | Endpoint::CountTokens
        | Endpoint::BatchResults
        | Endpoint::Models
        | Endpoint::Complete
        | Endpoint::Sessions
        | Endpoint::Dreams
        | Endpoint::Organizations => 32 << 20,
    }
}

/// Many requests about objects have no body.
pub(crate) fn look_into(
    looks: Looks,
    headers: &HeaderMap,
    data: &Text,
    max_bytes: u64,
) -> Result<Inspected, Failure> {
    let decoded = || decoded(headers, data, max_bytes);
    match looks {
        Looks::ForAModel => Ok(inspect(decoded()?)?),
        Looks::ForRules if !data.bytes().is_empty() => Ok(inspect_any(decoded()?)?),
        Looks::IfReadable => Ok(decoded()
            .and_then(|body| Ok(inspect_any(body)?))
            .unwrap_or_default()),
        Looks::ForRules | Looks::Not => Ok(Inspected::default()),
    }
}

/// A body without its content coding: of a compressed one a copy. What is found in it refers to the copy, which nothing counts:
/// there is one a thread at most, since nothing is waited for until the request is admitted.
fn decoded(headers: &HeaderMap, data: &Text, max_bytes: u64) -> Result<Text, Failure> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok(data.clone());
    }
    let encoding = content_encoding(headers)?;
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let decoded = coding::decode_whole(&encoding, data.bytes(), limit);
    let decoded = decoded.map_err(|error| undecodable(error, max_bytes))?;
    Ok(Bytes::from(decoded).into())
}

/// All content codings of a body, over all lines; empty if it has none.
pub(crate) fn content_encoding(headers: &HeaderMap) -> Result<String, Failure> {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let named: Result<Vec<&str>, _> = lines.map(HeaderValue::to_str).collect();
    let named = named.map_err(|_| Failure::BodyEncodingUnsupported)?;
    Ok(named.join(","))
}

/// Why a body of so many bytes at the most can't be read.
pub(crate) fn undecodable(error: DecodeError, limit: u64) -> Failure {
    match error {
        DecodeError::Unsupported => Failure::BodyEncodingUnsupported,
        DecodeError::Invalid => Failure::BodyEncodingInvalid,
        DecodeError::TooLarge => Failure::BodyTooLarge { limit },
    }
}
