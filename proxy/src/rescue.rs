//! Answers of the gateway's own: errors in the API's envelope, and the liveness probes of clients.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response};

use domain::RequestId;
use policy_engine::Reason;

use crate::ended::{End, Head};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::headers::{GATEWAY_REQUEST_ID, REQUEST_ID, SHOULD_RETRY};
use crate::notes;
use crate::response_body::ResponseBody;

/// Turns a failure into an answer, and settles the exchange by it; the answer leaves when its event, if it owes one, is durable.
pub(crate) async fn answer(
    mut exchange: Box<Exchange>,
    failure: Failure,
) -> Response<ResponseBody> {
    let envelope = failure.envelope(exchange.id, exchange.denial());
    let mut response = Response::new(ResponseBody::full(envelope));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = failure.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(exhausted) = exchange
        .denial()
        .and_then(|denial| denial.exhausted.as_ref())
    {
        let now = exchange.worker().clock.now();
        let seconds = notes::seconds_until(exhausted.resets_at, now);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if failure == Failure::Denied(Reason::BudgetExhausted) {
        // Clients would try again for minutes what can't pass before tomorrow.
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    exchange.put_notes(headers);
    identify(headers, exchange.id);
    exchange.settle(End::Failed(failure));
    exchange.durable().await;
    response
}

/// Clients ask `HEAD /` and `/api/hello` whether anybody is there before they send anything.
pub(crate) fn probe_answer(mut exchange: Box<Exchange>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    identify(response.headers_mut(), exchange.id);
    exchange.answered(
        Head {
            status: 200,
            ..Head::default()
        },
        None,
    );
    exchange.settle(End::Complete);
    response
}

/// Every answer carries the gateway's id, and the API's or, in its place, ours.
pub(crate) fn identify(headers: &mut HeaderMap, id: RequestId) {
    let mut buffer = uuid::Uuid::encode_buffer();
    let text = id.0.hyphenated().encode_lower(&mut buffer);
    let Ok(value) = HeaderValue::from_str(text) else {
        return;
    };
    headers.entry(REQUEST_ID).or_insert_with(|| value.clone());
    headers.insert(GATEWAY_REQUEST_ID, value);
}
