//! What may be used at all: models, endpoints, features, tools, and from where and when.

use std::borrow::Cow;
use std::net::IpAddr;

use domain::Endpoint;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::globs::{Globs, glob};
use super::hours::Hours;
use super::models::ModelSet;
use super::reader::{Faults, Reader, text, whole, word};
use super::tools::{McpUse, Tool, entries, mcp_uses};
use super::{Action, Context, Objection, action};
use crate::denial::Reason;
use crate::facts::Request;

/// An access policy. What is absent allows everything.
#[derive(Debug)]
pub(crate) struct Access {
    pub(super) action: Action,
    models: Lists<ModelSet>,
    endpoints: Lists<Vec<Endpoint>>,
    betas: Lists<Globs>,
    mcp_servers: Lists<Globs>,
    mcp_tools: Lists<ToolGlobs>,
    ips: Lists<Vec<IpNet>>,
    hours: Option<Vec<Hours>>,
    max_tokens: Option<u64>,
}

/// What is allowed, and what of it isn't.
#[derive(Debug, Clone)]
pub(crate) struct Lists<T> {
    pub(crate) allowed: Option<T>,
    pub(crate) denied: Option<T>,
}

impl<T> Lists<T> {
    /// Whether something may be used.
    pub(crate) fn allow(&self, is_in: impl Fn(&T) -> bool) -> bool {
        self.allowed.as_ref().is_none_or(&is_in) && !self.denied.as_ref().is_some_and(is_in)
    }

    fn is_empty(&self) -> bool {
        self.allowed.is_none() && self.denied.is_none()
    }
}

impl Access {
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.rules", value, faults);
        let r = &mut reader;
        let access = Self {
            action: action(r),
            models: Lists {
                allowed: ModelSet::read(r, "allowed_models"),
                denied: ModelSet::read(r, "denied_models"),
            },
            endpoints: Lists {
                allowed: r.list("allowed_endpoints", endpoint),
                denied: r.list("denied_endpoints", endpoint),
            },
            betas: Lists {
                allowed: globs(r, "allowed_betas"),
                denied: globs(r, "denied_betas"),
            },
            mcp_servers: Lists {
                allowed: globs(r, "allowed_mcp_servers"),
                denied: globs(r, "blocked_mcp_servers"),
            },
            mcp_tools: Lists {
                allowed: ToolGlobs::read(r, "allowed_mcp_tools"),
                denied: ToolGlobs::read(r, "blocked_mcp_tools"),
            },
            ips: Lists {
                allowed: r.list("allowed_ips", network),
                denied: r.list("denied_ips", network),
            },
            hours: r.objects("allowed_hours", Hours::read),
            max_tokens: r.optional("max_tokens", whole(1..=u64::MAX)),
        };
        reader.finish();
        access
    }

    /// A project's `allowed_models`.
    pub(crate) fn of_models(models: ModelSet) -> Self {
        let none = || Lists {
            allowed: None,
            denied: None,
        };
        Self {
            action: Action::Block,
            models: Lists {
                allowed: Some(models),
                denied: None,
            },
            endpoints: Lists {
                allowed: None,
                denied: None,
            },
            betas: none(),
            mcp_servers: none(),
            mcp_tools: Lists {
                allowed: None,
                denied: None,
            },
            ips: Lists {
                allowed: None,
                denied: None,
            },
            hours: None,
            max_tokens: None,
        }
    }

    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        self.check_endpoint(ctx.request.endpoint)
            .or_else(|| self.check_origin(ctx.caller.address, ctx))
            .or_else(|| self.check_betas(ctx.request.betas))
            .or_else(|| self.check_models(ctx.request).err())
            .or_else(|| self.check_max_tokens(ctx.request.max_tokens))
            .or_else(|| self.check_mcp(ctx.request).err())
    }

    fn check_endpoint(&self, endpoint: Endpoint) -> Option<Objection> {
        let allowed = self.endpoints.allow(|list| list.contains(&endpoint));
        (!allowed).then(|| {
            let message = format!("the endpoint {} is not allowed", endpoint.label());
            Objection::new(Reason::EndpointNotAllowed, message)
        })
    }

    fn check_origin(&self, address: IpAddr, ctx: &Context<'_>) -> Option<Objection> {
        let is_in = |list: &Vec<IpNet>| list.iter().any(|network| network.contains(&address));
        if !self.ips.allow(is_in) {
            let message = format!("the address {address} is not allowed");
            return Some(Objection::new(Reason::IpNotAllowed, message));
        }
        let in_time = |hours: &Vec<Hours>| hours.iter().any(|hours| hours.contain(ctx.now));
        let too_late = self.hours.as_ref().is_some_and(|hours| !in_time(hours));
        too_late.then(|| Objection::new(Reason::PolicyDenied, "it is not allowed at this time"))
    }

    fn check_betas(&self, betas: &[&str]) -> Option<Objection> {
        let refused = betas
            .iter()
            .find(|beta| !self.betas.allow(|globs| globs.matches(beta)))?;
        let message = format!("the beta {refused} is not allowed");
        Some(Objection::new(Reason::PolicyDenied, message))
    }

    fn check_models(&self, request: &Request<'_>) -> Result<(), Objection> {
        if self.models.is_empty() {
            return Ok(());
        }
        let check = |model: &str| {
            if model.is_empty() || self.models.allow(|set| set.covers(model)) {
                return Ok(());
            }
            let message = format!("the model {model} is not allowed");
            Err(Objection::new(Reason::ModelNotAllowed, message))
        };
        check(request.model)?;
        // Others may answer too.
        for model in fallbacks(request)? {
            check(&model)?;
        }
        if request
            .field("tools")
            .is_some_and(|json| json.contains("model"))
        {
            for tool in entries::<Tool<'_>>(request, "tools")? {
                check(tool.model.as_deref().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn check_max_tokens(&self, max_tokens: u64) -> Option<Objection> {
        let most = self.max_tokens.filter(|most| max_tokens > *most)?;
        let message = format!("max_tokens is {max_tokens}, and {most} are allowed at the most");
        Some(Objection::new(Reason::PolicyDenied, message))
    }

    fn check_mcp(&self, request: &Request<'_>) -> Result<(), Objection> {
        if self.mcp_servers.is_empty() && self.mcp_tools.is_empty() {
            return Ok(());
        }
        for used in mcp_uses(request)? {
            if !self.mcp_servers.allow(|globs| globs.matches(&used.server)) {
                let message = format!("the MCP server {} is not allowed", used.server);
                return Err(Objection::new(Reason::McpServerNotApproved, message));
            }
            if !self.mcp_tools.allow(|globs| globs.match_use(&used)) {
                let tool = used.tool.as_deref().unwrap_or("all tools");
                let message = format!("{tool} of the MCP server {} is not allowed", used.server);
                return Err(Objection::new(Reason::ToolBlocked, message));
            }
        }
        Ok(())
    }
}

/// The models of `fallbacks`: names, or objects with a `model`. The word `default` is none.
fn fallbacks<'a>(request: &Request<'a>) -> Result<Vec<Cow<'a, str>>, Objection> {
    #[derive(Deserialize)]
    struct Fallback<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }
    let Some(json) = request
        .field("fallbacks")
        .filter(|json| !json.starts_with('"'))
    else {
        return Ok(Vec::new());
    };
    let unreadable = |_| {
        let message = "`fallbacks` can't be read as what the API takes there";
        Objection::new(Reason::PolicyDenied, message)
    };
    let entries: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
    let model = |entry: &&'a RawValue| {
        if entry.get().starts_with('"') {
            #[derive(Deserialize)]
            struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
            return serde_json::from_str::<Name<'a>>(entry.get()).map(|name| name.0);
        }
        serde_json::from_str::<Fallback<'a>>(entry.get()).map(|fallback| fallback.model)
    };
    let models: Result<_, _> = entries.iter().map(model).collect();
    models.map_err(unreadable)
}

/// Globs over tools: over the bare name, or over `server/tool`.
#[derive(Debug, Clone)]
pub(crate) struct ToolGlobs {
    bare: Globs,
    full: Globs,
    /// Of those that cover all tools of a server: over the server.
    servers: Globs,
}

impl ToolGlobs {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Option<Self> {
        let texts = reader.list(field, |value| {
            let text = text(value)?;
            glob(text).map(|parsed| (text, parsed))
        })?;
        let (mut bare, mut full, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for (text, parsed) in texts {
            match text.rsplit_once('/') {
                Some((server, tool)) => {
                    full.push(parsed);
                    servers.extend(glob(server).ok().filter(|_| tool == "*"));
                }
                None => {
                    servers.extend((text == "*").then(|| parsed.clone()));
                    bare.push(parsed);
                }
            }
        }
        Some(Self {
            bare: Globs::new(bare),
            full: Globs::new(full),
            servers: Globs::new(servers),
        })
    }

    fn match_use(&self, used: &McpUse<'_>) -> bool {
        match &used.tool {
            None => self.servers.matches(&used.server),
            Some(tool) => {
                self.bare.matches(tool) || self.full.matches(&format!("{}/{tool}", used.server))
            }
        }
    }
}

fn globs(reader: &mut Reader<'_>, field: &'static str) -> Option<Globs> {
    let globs = reader.list(field, |value| glob(text(value)?))?;
    Some(Globs::new(globs))
}

fn endpoint(value: &Value) -> Result<Endpoint, String> {
    let named: Vec<_> = Endpoint::ALL.iter().map(|it| (it.label(), *it)).collect();
    word(&named)(value)
}

fn network(value: &Value) -> Result<IpNet, String> {
    let text = text(value)?;
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "must be an address or a network, such as 10.0.0.0/8".to_owned())
}
