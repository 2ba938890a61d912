//! The upstream's answer made ready for the caller: its head cleaned and noted, its body put on the relay.

use std::rc::Rc;

use domain::Endpoint;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Response};
use http_body::Body as _;

use crate::batch_relay::{self, Page};
use crate::ended::{End, Head};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::headers::{self, REQUEST_ID};
use crate::meter::Meter;
use crate::relay::Relay;
use crate::rescue;
use crate::response_body::ResponseBody;
use crate::upstream::UpstreamBody;

/// An answer as it came, and what is to be done with it.
pub(crate) struct UpstreamAnswer {
    pub(crate) response: Response<UpstreamBody>,
    /// Where the URLs of batch objects shall lead, if it may hold any.
    pub(crate) own_origin: Option<String>,
}

/// Lets an answer through.
pub(crate) async fn relay(
    mut exchange: Box<Exchange>,
    answer: UpstreamAnswer,
) -> Response<ResponseBody> {
    let (mut head, body) = answer.response.into_parts();
    note(&mut exchange, head.status.as_u16(), &head.headers);
    headers::strip_response(&mut head.headers);
    rescue::identify(&mut head.headers, exchange.id);
    exchange.put_notes(&mut head.headers);

    let editing = answer
        .own_origin
        .filter(|_| head.status.is_success() && is_json(&head.headers));
    let body = match editing {
        None => relayed(exchange, body).await,
        Some(origin) => {
            exchange.report_added_latency();
            match edited(&mut exchange, &mut head.headers, body, &origin).await {
                Ok(body) => body,
                Err(failure) => return rescue::answer(exchange, failure).await,
            }
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

async fn relayed(mut exchange: Box<Exchange>, body: UpstreamBody) -> ResponseBody {
    // Nobody asks a body that is at its end for frames.
    let is_empty = body.is_end_stream();
    if is_empty {
        exchange.settle(End::Complete);
        exchange.durable().await;
    }
    let worker = Rc::clone(exchange.worker());
    let idle_timeout = worker.options.upstream.idle_timeout;
    // What is read on after its caller has left is looked at only when there is a caller to look.
    let is_told_at_once = !is_empty && !exchange.is_streaming() && !exchange.is_to_be_drained();
    if !is_told_at_once {
        exchange.report_added_latency();
    }
    let mut relay = Box::new(Relay::new(body, exchange, idle_timeout));
    if is_told_at_once {
        relay.look_ahead().await;
    }
    ResponseBody::Relay(relay)
}

/// Batch objects: read whole, their URLs rewritten, sent plain.
async fn edited(
    exchange: &mut Exchange,
    headers: &mut HeaderMap,
    body: UpstreamBody,
    origin: &str,
) -> Result<ResponseBody, Failure> {
    let idle_timeout = exchange.worker().options.upstream.idle_timeout;
    let encoding = text(headers, CONTENT_ENCODING).map(str::to_owned);
    let page = batch_relay::edited(body, encoding.as_deref(), origin, idle_timeout).await?;
    headers.remove(CONTENT_LENGTH);
    let data = match page {
        Page::AsItCame(data) => data,
        Page::Edited(data) => {
            headers.remove(CONTENT_ENCODING);
            data
        }
    };
    exchange.observe(&data);
    exchange.settle(End::Complete);
    exchange.durable().await;
    Ok(ResponseBody::full(data))
}

/// Notes the head of the answer, and with what to read it if it may carry usage.
pub(crate) fn note(exchange: &mut Exchange, status: u16, headers: &HeaderMap) {
    let content_type = text(headers, CONTENT_TYPE);
    let encoding = text(headers, CONTENT_ENCODING);
    let meter = match exchange.endpoint {
        Some(Endpoint::Messages) => Some(Meter::new(content_type, encoding)),
        Some(Endpoint::BatchResults) if status == 200 => Some(Meter::of_batch_results(encoding)),
        Some(Endpoint::Sessions | Endpoint::Dreams) if status < 300 => Some(Meter::of_totals(
            exchange.shown_id(),
            content_type,
            encoding,
        )),
        _ if exchange.creates().is_some() && status < 300 => Some(Meter::of_object(encoding)),
        _ => None,
    };
    let streaming = content_type.is_some_and(|value| begins_with(value, "text/event-stream"));
    let upstream_request_id = text(headers, REQUEST_ID).map(str::to_owned);
    exchange.answered(
        Head {
            status,
            streaming,
            upstream_request_id,
        },
        meter,
    );
}

fn is_json(headers: &HeaderMap) -> bool {
    text(headers, CONTENT_TYPE).is_some_and(|value| begins_with(value, "application/json"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whatever parameters follow.
fn begins_with(value: &str, expected: &str) -> bool {
    value
        .get(..expected.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(expected))
}
