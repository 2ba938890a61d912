//! What an expression can look at.

use std::borrow::Cow;
use std::collections::HashMap;

use cel::Value;
use cel::objects::Key;

use crate::rules::hours::{minute_of_day, seconds, weekday};
use crate::rules::{Context, json};

/// The most entries of a list or a map that an expression sees.
const MOST_ENTRIES: usize = 1_000;
/// The longest string that it sees, in bytes.
const MOST_BYTES: usize = 256;

/// A field of one of the roots.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) root: &'static str,
    pub(super) field: &'static str,
    /// Whether it has entries.
    pub(super) is_large: bool,
    pub(super) value: fn(&Context<'_>) -> Result<Value, Unseen>,
}

/// Something that is too long to be looked at, or can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unseen;

const fn one(
    root: &'static str,
    field: &'static str,
    value: fn(&Context<'_>) -> Result<Value, Unseen>,
) -> Variable {
    Variable {
        root,
        field,
        is_large: false,
        value,
    }
}

const fn many(field: &'static str, value: fn(&Context<'_>) -> Result<Value, Unseen>) -> Variable {
    Variable {
        root: "request",
        field,
        is_large: true,
        value,
    }
}

static VARIABLES: &[Variable] = &[
    one("request", "model", |ctx| text(ctx.request.model)),
    one("request", "endpoint", |ctx| {
        text(ctx.request.endpoint.label())
    }),
    one("request", "max_tokens", |ctx| {
        Ok(int(ctx.request.max_tokens))
    }),
    one("request", "stream", |ctx| {
        Ok(Value::Bool(ctx.request.stream))
    }),
    one("request", "bytes", |ctx| Ok(int(ctx.request.body_bytes))),
    many("betas", |ctx| list(ctx.request.betas.iter().copied())),
    many("tools", |ctx| {
        let tools = ctx.tools().map_err(|_| Unseen)?;
        list(tools.names.iter().map(AsRef::as_ref))
    }),
    many("mcp_servers", |ctx| {
        let tools = ctx.tools().map_err(|_| Unseen)?;
        list(tools.servers.iter().map(|server| server.name.as_ref()))
    }),
    many("metadata", metadata),
    one("request", "inference_geo", |ctx| {
        field(ctx, "inference_geo")
    }),
    one("request", "service_tier", |ctx| field(ctx, "service_tier")),
    one("request", "speed", |ctx| field(ctx, "speed")),
    one("key", "id", |ctx| text(&ctx.caller.key_id.to_string())),
    one("user", "id", |ctx| {
        text(
            &ctx.caller
                .user_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
        )
    }),
    one("user", "role", |ctx| {
        text(ctx.role().map(crate::Role::as_str).unwrap_or_default())
    }),
    one("project", "id", |ctx| {
        text(&ctx.caller.project_id.to_string())
    }),
    one("project", "slug", |ctx| text(ctx.project_slug())),
    one("organization", "id", |ctx| {
        text(&ctx.caller.org_id.to_string())
    }),
    one("organization", "slug", |ctx| text(ctx.org_slug)),
    one("client", "ip", |ctx| {
        text(&ctx.caller.address.to_canonical().to_string())
    }),
    one("time", "hour", |ctx| {
        Ok(Value::Int(i64::from(minute_of_day(ctx.now) / 60)))
    }),
    one("time", "weekday", |ctx| {
        Ok(Value::Int(i64::from(weekday(ctx.now)) + 1))
    }),
    one("time", "unix", |ctx| Ok(Value::Int(seconds(ctx.now)))),
];

impl Variable {
    /// Whether it is known of a request that is over: by what is stored of it.
    pub(super) fn is_kept(&self) -> bool {
        match self.root {
            "request" => matches!(self.field, "model" | "endpoint"),
            root => root != "client",
        }
    }

    /// As expressions have it.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.root, self.field)
    }
}

pub(super) fn is_root(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.root == name)
}

pub(super) fn find(root: &str, field: &str) -> Option<&'static Variable> {
    let mut variables = VARIABLES.iter();
    variables.find(|variable| variable.root == root && variable.field == field)
}

/// The names of all variables' roots, for a fault.
pub(super) fn roots() -> String {
    let mut roots: Vec<_> = VARIABLES.iter().map(|variable| variable.root).collect();
    roots.dedup();
    roots.join(", ")
}

/// The names of a root's fields, for a fault.
pub(super) fn fields(root: &str) -> String {
    let fields = VARIABLES.iter().filter(|variable| variable.root == root);
    let names: Vec<_> = fields.map(|variable| variable.field).collect();
    names.join(", ")
}

fn text(text: &str) -> Result<Value, Unseen> {
    if text.len() > MOST_BYTES {
        return Err(Unseen);
    }
    Ok(Value::from(text))
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Result<Value, Unseen> {
    if names.len() > MOST_ENTRIES {
        return Err(Unseen);
    }
    let names: Result<Vec<_>, _> = names.map(text).collect();
    Ok(Value::from(names?))
}

/// A string of the body; an empty one if there is none, and nothing that an expression can look at if it is no string.
fn field(ctx: &Context<'_>, name: &str) -> Result<Value, Unseen> {
    match ctx.request.field(name) {
        Some(json) => text(&json::text(json).ok_or(Unseen)?),
        None => text(""),
    }
}

/// What isn't a string is there as its JSON.
fn metadata(ctx: &Context<'_>) -> Result<Value, Unseen> {
    let json = ctx.request.field("metadata").unwrap_or("{}");
    let members = json::members(json).ok_or(Unseen)?;
    if members.len() > MOST_ENTRIES {
        return Err(Unseen);
    }
    let member = |(name, json): (Cow<'_, str>, &str)| {
        let value = json::text(json);
        let value = text(value.as_deref().unwrap_or(json))?;
        Ok((Key::from(name.as_ref()), value))
    };
    let members: Result<HashMap<Key, Value>, Unseen> = members.into_iter().map(member).collect();
    members.map(Value::from)
}
