//! May this request pass? What the rules look at, gathered from its head and body, and what they decided.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Buf as _;
use domain::{Endpoint, KeyKind, model};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use policy_engine::{Admitted, Caller, Denial, Field, Notes, Refused, Request};
use smallvec::SmallVec;

use crate::batch_gate::BatchGate;
use crate::batch_upload::BatchUpload;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::forward_body::ForwardBody;
use crate::inspect::Inspected;
use crate::keys::KeyRecord;

pub(crate) const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
/// Names the MCP servers that a request's maker has agreed to, where that has to be done for each use.
pub(crate) const APPROVED_MCP: HeaderName = HeaderName::from_static("x-mindweave-approve-mcp");

/// Asks the rules, and takes the place of the event, before any money is spent. Gives the body back, which is a gate's from here
/// on if it is a batch whose items have to be looked at.
///
/// # Errors
/// If the request goes no further.
pub(crate) async fn admit(
    exchange: &mut Exchange,
    head: &Parts,
    (key, address): (&Arc<KeyRecord>, IpAddr),
    inspected: Inspected,
    body: ForwardBody,
) -> Result<ForwardBody, Failure> {
    let has_event = head.method == Method::POST;
    let refuse = |exchange: &mut Exchange, undecided: Undecided| match undecided {
        Undecided::Failed(failure) => failure,
        Undecided::Denied(denial) => {
            let of = has_event.then(|| (key, model::kept(&inspected.model).to_owned()));
            exchange.deny(denial, of)
        }
    };
    let decided = decide(exchange, head, key, address, &inspected);
    let mut admitted = decided.map_err(|why| refuse(exchange, why))?;
    let notes = std::mem::take(&mut admitted.notes);
    let gate = BatchGate::of(exchange, head, key, address, &notes)?;
    exchange.note(notes);
    let body = match gate {
        None => body,
        Some(gate) => match pass(gate, body).await {
            Ok((body, notes)) => {
                exchange.note(notes);
                body
            }
            Err(why) => return Err(refuse(exchange, why)),
        },
    };
    if has_event && !exchange.admit(Arc::clone(key), inspected, admitted) {
        return Err(Failure::Overloaded);
    }
    Ok(body)
}

/// Shows a batch to its gate: now, if it is here; else as it comes.
async fn pass(mut gate: BatchGate, body: ForwardBody) -> Result<(ForwardBody, Notes), Undecided> {
    match body {
        ForwardBody::Stream(upload) if !upload.is_end_stream() => {
            let upload = BatchUpload::new(upload, gate);
            Ok((ForwardBody::Batch(Box::new(upload)), Notes::default()))
        }
        ForwardBody::Whole {
            data: Some(data),
            trailers,
        } => {
            let mut rest = data.clone();
            while !rest.is_empty() {
                let read = gate.read(&rest)?;
                rest.advance(read);
                if !rest.is_empty() {
                    tokio::task::yield_now().await;
                }
            }
            let data = Some(data);
            Ok((ForwardBody::Whole { data, trailers }, gate.end()?))
        }
        // An empty body holds no items.
        ForwardBody::Stream(_) | ForwardBody::Whole { .. } | ForwardBody::Batch(_) => {
            Ok((body, Notes::default()))
        }
    }
}

/// Who makes the request.
pub(crate) fn caller(key: &KeyRecord, address: IpAddr) -> Caller {
    Caller {
        key_id: key.id,
        user_id: key.user_id,
        project_id: key.project_id,
        org_id: key.org_id,
        test: key.kind == KeyKind::Test,
        address,
    }
}

/// Asks the rules of the caller's project.
///
/// # Errors
/// If they refuse, or aren't known yet.
fn decide(
    exchange: &Exchange,
    head: &Parts,
    key: &KeyRecord,
    address: IpAddr,
    inspected: &Inspected,
) -> Result<Box<Admitted>, Undecided> {
    let worker = exchange.worker();
    let endpoint = exchange.endpoint.unwrap_or(Endpoint::Other);
    let caller = caller(key, address);
    let decided = with_request(endpoint, head, inspected, |request| {
        let (prices, now) = (worker.prices.load(), worker.clock.now());
        worker.policies.admit(&caller, request, &prices, now)
    });
    decided.map(Box::new).map_err(|refused| match refused {
        // Keys may come a moment before the rules they are under.
        Refused::Unknown(_) => Undecided::Failed(Failure::Overloaded),
        Refused::Denied(denial) => Undecided::Denied(denial),
    })
}

/// Shows a request as the rules see it.
pub(crate) fn with_request<R>(
    endpoint: Endpoint,
    head: &Parts,
    inspected: &Inspected,
    show: impl FnOnce(&Request<'_>) -> R,
) -> R {
    let fields: SmallVec<[Field<'_>; 24]> = inspected.fields().collect();
    let (betas, approved) = (
        names(&head.headers, &BETAS),
        names(&head.headers, &APPROVED_MCP),
    );
    show(&Request {
        endpoint,
        reads: head.method != Method::POST,
        model: &inspected.model,
        max_tokens: inspected.max_tokens,
        stream: inspected.stream,
        body_bytes: inspected.body_bytes() as u64,
        betas: &betas,
        approved_mcp: &approved,
        fields: &fields,
        unkept: None,
    })
}

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum Undecided {
    Failed(Failure),
    Denied(Box<Denial>),
}

/// Stands for a name that is no text: it is forwarded, and nobody could have allowed or denied it by name.
const NO_TEXT: &str = "\u{fffd}";

/// The names in a header that is a list, over all its lines.
pub(crate) fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> SmallVec<[&'a str; 8]> {
    let values = headers.get_all(name).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names
        .map(|name| str::from_utf8(name).map_or(NO_TEXT, str::trim))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_name_that_is_no_text_hides_no_other() {
        let mut headers = HeaderMap::new();
        let lines: [&[u8]; 3] = [b" a , b,,", b"c,\xff,d\xc3\xa4", b"\xe9"];
        for line in lines {
            headers.append(BETAS, HeaderValue::from_bytes(line).unwrap());
        }
        let found = names(&headers, &BETAS);
        assert_eq!(
            found.as_slice(),
            ["a", "b", "c", NO_TEXT, "d\u{e4}", NO_TEXT]
        );
    }
}
