//! May this request pass? What the rules look at, gathered from its head and body, and what they decided.

use std::net::IpAddr;

use domain::{Endpoint, KeyKind};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use policy_engine::{Admitted, Caller, Denial, Field, Refused, Request};
use smallvec::SmallVec;

use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::inspect::Inspected;
use crate::keys::KeyRecord;

const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
/// Names the MCP servers that a request's maker has agreed to, where that has to be done for each use.
pub(crate) const APPROVED_MCP: HeaderName = HeaderName::from_static("x-mindweave-approve-mcp");

/// Asks the rules of the caller's project.
///
/// # Errors
/// If they refuse, or aren't known yet.
pub(crate) fn decide(
    exchange: &Exchange,
    head: &Parts,
    key: &KeyRecord,
    address: IpAddr,
    inspected: &Inspected,
) -> Result<Box<Admitted>, Undecided> {
    let worker = exchange.worker();
    let fields: SmallVec<[Field<'_>; 24]> = inspected.fields().collect();
    let (betas, approved) = (
        names(&head.headers, &BETAS),
        names(&head.headers, &APPROVED_MCP),
    );
    let request = Request {
        endpoint: exchange.endpoint.unwrap_or(Endpoint::Other),
        reads: head.method != Method::POST,
        model: &inspected.model,
        max_tokens: inspected.max_tokens,
        stream: inspected.stream,
        body_bytes: inspected.body_bytes() as u64,
        betas: &betas,
        approved_mcp: &approved,
        fields: &fields,
        unkept: None,
    };
    let caller = Caller {
        key_id: key.id,
        user_id: key.user_id,
        project_id: key.project_id,
        org_id: key.org_id,
        test: key.kind == KeyKind::Test,
        address,
    };
    let decided =
        worker
            .policies
            .admit(&caller, &request, &worker.prices.load(), worker.clock.now());
    decided.map(Box::new).map_err(|refused| match refused {
        // Keys may come a moment before the rules they are under.
        Refused::Unknown(_) => Undecided::Failed(Failure::Overloaded),
        Refused::Denied(denial) => Undecided::Denied(denial),
    })
}

/// Why a request goes no further.
pub(crate) enum Undecided {
    Failed(Failure),
    Denied(Box<Denial>),
}

/// The names in a header that is a list, over all its lines.
fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> SmallVec<[&'a str; 8]> {
    let values = headers.get_all(name).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}
