//! What would come of a request that nobody makes, were certain rules in force.
//!
//! Guarantees: it goes through the phases of a request in their order, each by the code that requests go through: the route, the
//! key, whose the objects are, the body, the rules, the items of a batch. Nothing is forwarded, held, taken or counted.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Clock, Endpoint, Prices};
use http::Method;
use http::request::Parts;
use policy_engine::{Caller, Denial, Notes, Rehearsal, Step};

use crate::admission::{self, Undecided};
use crate::authenticate;
use crate::batch_gate::BatchGate;
use crate::failure::Failure;
use crate::headers;
use crate::keys::{KeyRecord, TenantState};
use crate::looks::Looks;
use crate::objects::UpstreamObjects;
use crate::options::Options;
use crate::read_body;
use crate::route::{self, Route};

/// What requests are tried on.
#[derive(Debug)]
pub struct Trials {
    /// What models cost.
    pub prices: Arc<Prices>,
    /// Whose the objects upstream are.
    pub objects: Arc<UpstreamObjects>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// `Options::max_body_bytes`
    pub max_body_bytes: u64,
}

/// A request that nobody makes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method, path and headers.
    pub head: &'a Parts,
    /// Its body, as it would come.
    pub body: &'a Bytes,
    /// The key it would come with.
    pub key: With<'a>,
    /// Who makes it.
    pub caller: &'a Caller,
}

/// With which key.
#[derive(Debug, Clone, Copy)]
pub enum With<'a> {
    /// This one.
    Key(&'a KeyRecord),
    /// A good one of the caller's project, which is in service or not.
    Good(TenantState),
}

/// What would come of it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The error it would be answered with; none if it would be forwarded.
    pub refusal: Option<Refusal>,
    /// What its caller, and the log, would be told.
    pub notes: Notes,
    /// The rules it was shown to, in order.
    pub steps: Vec<Step>,
}

/// An error of the gateway's own.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`
    pub kind: &'static str,
    /// `error.details.error_code`
    pub error_code: &'static str,
    /// `error.message`
    pub message: String,
    /// What the rule says that refuses, if it is one.
    pub denial: Option<Box<Denial>>,
}

impl Trials {
    /// What would come of a request, were these rules in force.
    #[must_use]
    pub fn judge(&self, rules: &Rehearsal, asked: &Asked<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if let Err(why) = self.pass(rules, asked, &mut verdict) {
            verdict.refusal = Some(Refusal::of(why));
            // Whoever is refused is told of no warnings.
            verdict.notes = Notes::default();
        }
        verdict
    }

    fn pass(
        &self,
        rules: &Rehearsal,
        asked: &Asked<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Undecided> {
        let head = asked.head;
        let Some((endpoint, is_made)) = self.identify(asked).map_err(Undecided::Failed)? else {
            return Ok(());
        };
        let (caller, now) = (asked.caller, self.clock.now());
        let items = || rules.item_rules(caller, now);
        let looks = Looks::of(Some(endpoint), &head.method, head.uri.path(), items);
        let limit = read_body::endpoint_limit(endpoint).min(self.max_body_bytes);
        if u64::try_from(asked.body.len()).unwrap_or(u64::MAX) > limit {
            return Err(Undecided::Failed(Failure::BodyTooLarge { limit }));
        }
        let body = asked.body.clone().into();
        let read = read_body::look_into(looks, &head.headers, &body, limit);
        let inspected = read.map_err(Undecided::Failed)?;
        let explained = admission::with_request(endpoint, head, &inspected, |request| {
            rules.explain(caller, request, &self.prices.load(), now)
        });
        verdict.steps = explained.steps;
        verdict.notes = explained.decided.map_err(Undecided::Denied)?;
        if endpoint == Endpoint::Batches
            && is_made
            && let Some(mut items) = items()
        {
            items.are_told(&verdict.notes);
            let mut gate =
                BatchGate::new(items, &head.headers, limit).map_err(Undecided::Failed)?;
            let mut rest = asked.body.clone();
            while !rest.is_empty() {
                let read = gate.read(&rest)?;
                let _read = rest.split_to(read);
            }
            let Notes {
                warnings, logged, ..
            } = gate.end()?;
            verdict.notes.warnings.extend(warnings);
            verdict.notes.logged.extend(logged);
        }
        Ok(())
    }

    /// Which part of the API it is for, and whether it makes an object there; none of what is answered without a key.
    fn identify(&self, asked: &Asked<'_>) -> Result<Option<(Endpoint, bool)>, Failure> {
        let head = asked.head;
        if headers::wire_size(&head.headers) > Options::MAX_HEADER_BYTES {
            return Err(Failure::HeadersTooLarge);
        }
        let (endpoint, object) = match route::route(&head.method, &head.uri) {
            Route::Api {
                endpoint, object, ..
            } => (endpoint, object),
            Route::Probe => return Ok(None),
            Route::Unknown => return Err(Failure::PathUnknown),
        };
        let own_upstream_key = match asked.key {
            With::Key(key) => {
                let address: IpAddr = asked.caller.address;
                authenticate::check(key, &head.method, address, self.clock.now())?;
                key.own_upstream_key
            }
            With::Good(tenant) => {
                authenticate::check_tenant(tenant)?;
                false
            }
        };
        let mut is_made = false;
        if let Some(object) = &object {
            let tenant = (asked.caller.project_id, own_upstream_key);
            self.objects.reach(&head.method, object, tenant)?;
            is_made = object.id.is_none() && head.method == Method::POST;
        } else if endpoint == Endpoint::Organizations && !own_upstream_key {
            return Err(Failure::EndpointNotAllowed);
        }
        Ok(Some((endpoint, is_made)))
    }
}

impl Refusal {
    /// What a key is answered that nobody knows.
    #[must_use]
    pub fn key_unknown() -> Self {
        Self::of(Undecided::Failed(Failure::KeyUnknown))
    }

    fn of(why: Undecided) -> Self {
        let (failure, denial) = match why {
            Undecided::Failed(failure) => (failure, None),
            Undecided::Denied(denial) => (Failure::Denied(denial.reason), Some(denial)),
        };
        let message = denial.as_ref().map(|denial| denial.message.clone());
        Self {
            status: failure.status().as_u16(),
            kind: failure.kind(),
            error_code: failure.error_code(),
            message: message.unwrap_or_else(|| failure.to_string()),
            denial,
        }
    }
}
