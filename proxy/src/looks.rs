//! Whose bodies are looked into before they are forwarded, and what becomes of one that can't be read.
//!
//! Those of `messages`, `count_tokens` and `complete` always are. Others that make a model work, or say which will, are if a rule
//! could have anything against what stands in them; whatever else the API has passes as it comes, without being held.

use std::net::IpAddr;

use domain::Endpoint;
use http::Method;
use http::request::Parts;
use policy_engine::ItemRules;

use crate::admission;
use crate::exchange::Exchange;
use crate::keys::KeyRecord;
use crate::route;

/// Whether a body is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// It has to name a model.
    ForAModel,
    /// It is refused if it can't be read.
    ForRules,
    /// What can't be read passes: rules only warn of what they see, or log it.
    IfReadable,
    Not,
}

impl Looks {
    /// The API's own limit of such bodies, in bytes.
    pub(crate) const MOST_BYTES: u64 = 32 << 20;

    pub(crate) fn into(
        exchange: &Exchange,
        head: &Parts,
        key: &KeyRecord,
        address: IpAddr,
    ) -> Self {
        let rules = || {
            let worker = exchange.worker();
            let caller = admission::caller(key, address);
            worker.policies.item_rules(&caller, worker.clock.now())
        };
        Self::of(exchange.endpoint, &head.method, head.uri.path(), rules)
    }

    /// The same, where it is known what the caller's items would have to be shown to.
    pub(crate) fn of(
        endpoint: Option<Endpoint>,
        method: &Method,
        path: &str,
        rules: impl FnOnce() -> Option<ItemRules>,
    ) -> Self {
        if *method != Method::POST {
            return Self::Not;
        }
        let may_name_a_model = match endpoint {
            Some(Endpoint::Messages | Endpoint::CountTokens) => return Self::ForAModel,
            Some(Endpoint::Complete | Endpoint::Sessions | Endpoint::Dreams) => true,
            Some(Endpoint::Other) => route::is_of_agents(path),
            Some(
                Endpoint::Batches
                | Endpoint::BatchResults
                | Endpoint::Models
                | Endpoint::Files
                | Endpoint::Organizations,
            )
            | None => false,
        };
        if !may_name_a_model {
            return Self::Not;
        }
        match rules() {
            Some(rules) if rules.can_refuse() => Self::ForRules,
            Some(_) => Self::IfReadable,
            // What a completion costs its answer doesn't say: limits of models and of cost know it by what it asks for.
            None if endpoint == Some(Endpoint::Complete) => Self::IfReadable,
            None => Self::Not,
        }
    }
}
