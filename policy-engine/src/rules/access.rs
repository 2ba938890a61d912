//! Which models, endpoints, tools, servers, betas, addresses and hours there are for a caller.
//!
//! What is about the body applies where there is one that is looked into; the rest to every request.

mod mcp;
mod models;
mod network;

use domain::Endpoint;
use serde_json::Value;

use self::mcp::McpRule;
use self::network::Networks;
use super::globs::Globs;
use super::hours::Hours;
use super::models::ModelSet;
use super::pair::Pair;
use super::reader::{Item, Reader};
use super::{Action, Context, Faults, Objection, Shown};
use crate::denial::Reason;

/// More than any model answers with.
const MOST_TOKENS: u64 = 1_000_000_000;

/// What an access policy says.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessRule {
    pub(crate) action: Action,
    models: Pair<ModelSet>,
    endpoints: Pair<Vec<Endpoint>>,
    max_tokens: Option<u64>,
    betas: Pair<Globs>,
    mcp: McpRule,
    addresses: Pair<Networks>,
    hours: Option<Hours>,
}

impl AccessRule {
    /// From `rules`. One with faults isn't meant to be used.
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new(&Item::new("$.rules", value), faults);
        let models = ["allowed_models", "denied_models"];
        let endpoints = ["allowed_endpoints", "denied_endpoints"];
        let betas = ["allowed_betas", "denied_betas"];
        let addresses = ["allowed_ips", "denied_ips"];
        let whole = |item: &Item<'_>, faults: &mut Faults| item.whole(1..=MOST_TOKENS, faults);
        let rule = Self {
            action: reader.optional("action", Action::read).unwrap_or_default(),
            models: Pair::read(&mut reader, models, ModelSet::read),
            endpoints: Pair::read(&mut reader, endpoints, |item, faults| {
                item.list(faults, read_endpoint)
            }),
            max_tokens: reader.optional("max_tokens", whole),
            betas: Pair::read(&mut reader, betas, Globs::read),
            mcp: McpRule::read(&mut reader),
            addresses: Pair::read(&mut reader, addresses, Networks::read),
            hours: reader.optional("allowed_hours", Hours::read),
        };
        reader.finish();
        rule
    }

    /// From `projects.settings`, whose other fields are somebody else's: none unless they allow some models only.
    pub(crate) fn of_project(settings: &Value, faults: &mut Faults) -> Option<Self> {
        if settings.is_null() {
            return None;
        }
        let mut reader = Reader::new(&Item::new("$.settings", settings), faults);
        let allowed = reader.optional("allowed_models", ModelSet::read)?;
        (!allowed.is_everything()).then(|| Self {
            models: Pair::allowing(allowed),
            ..Self::default()
        })
    }

    /// The first thing that isn't allowed.
    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        self.check_address(ctx)
            .or_else(|| self.check_hours(ctx))
            .or_else(|| self.check_endpoint(ctx))
            .or_else(|| self.check_betas(ctx))
            .or_else(|| models::check(&self.models, ctx))
            .or_else(|| self.check_max_tokens(ctx))
            .or_else(|| self.mcp.check(ctx))
    }

    fn check_address(&self, ctx: &Context<'_>) -> Option<Objection> {
        let address = ctx.caller.address.to_canonical();
        let wrong = self.addresses.objects(|nets| nets.contain(address))?;
        let message = format!("the address {address} {wrong}");
        Some(Objection::new(Reason::IpNotAllowed, message))
    }

    fn check_hours(&self, ctx: &Context<'_>) -> Option<Objection> {
        let allowed = self.hours.as_ref().is_none_or(|hours| hours.hold(ctx.now));
        (!allowed).then(|| Objection::denied("requests are allowed at other hours only"))
    }

    fn check_endpoint(&self, ctx: &Context<'_>) -> Option<Objection> {
        let endpoint = ctx.request.endpoint;
        let wrong = self.endpoints.objects(|all| all.contains(&endpoint))?;
        let message = format!("the endpoint {} {wrong}", endpoint.label());
        Some(Objection::new(Reason::EndpointNotAllowed, message))
    }

    fn check_betas(&self, ctx: &Context<'_>) -> Option<Objection> {
        let objects = |beta: &&str| {
            let wrong = self.betas.objects(|globs| globs.covers(beta))?;
            Some(Objection::denied(format!(
                "the beta {} {wrong}",
                Shown(beta)
            )))
        };
        ctx.request.betas.iter().find_map(objects)
    }

    fn check_max_tokens(&self, ctx: &Context<'_>) -> Option<Objection> {
        let (asked, most) = (ctx.request.max_tokens, self.max_tokens?);
        let message = || format!("max_tokens of {asked} is above the {most} allowed");
        (ctx.has_body() && asked > most).then(|| Objection::denied(message()))
    }
}

fn read_endpoint(item: &Item<'_>, faults: &mut Faults) -> Option<Endpoint> {
    let name = item.value.as_str();
    let named = |endpoint: &Endpoint| Some(endpoint.label()) == name;
    match Endpoint::ALL.into_iter().find(named) {
        Some(endpoint) => Some(endpoint),
        None => {
            let names = Endpoint::ALL.map(Endpoint::label).join(", ");
            item.fault(faults, format!("must be one of {names}"))
        }
    }
}

#[cfg(test)]
mod tests;
