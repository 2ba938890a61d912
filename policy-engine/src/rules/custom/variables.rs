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
/// JSON of such a string is no longer: each byte may be escaped, as in `\u0041`.
const MOST_JSON_BYTES: usize = 6 * MOST_BYTES + 2;

/// A field of one of the roots.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) root: &'static str,
    pub(super) field: &'static str,
    pub(super) look: Look,
}

/// How a variable is looked at, by its type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    Bool(fn(&Context<'_>) -> bool),
    Int(fn(&Context<'_>) -> i64),
    Text(Text),
    /// A list or a map, for the interpreter.
    Many(fn(&Context<'_>) -> Result<Value, Unseen>),
}

/// How a string is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text(for<'a> fn(&Context<'a>) -> Result<Cow<'a, str>, Unseen>);

/// Something that is too long to be looked at, or can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unseen;

const fn variable(root: &'static str, field: &'static str, look: Look) -> Variable {
    Variable { root, field, look }
}

const fn bool(root: &'static str, field: &'static str, look: fn(&Context<'_>) -> bool) -> Variable {
    variable(root, field, Look::Bool(look))
}

const fn int(root: &'static str, field: &'static str, look: fn(&Context<'_>) -> i64) -> Variable {
    variable(root, field, Look::Int(look))
}

const fn text(
    root: &'static str,
    field: &'static str,
    look: for<'a> fn(&Context<'a>) -> Result<Cow<'a, str>, Unseen>,
) -> Variable {
    variable(root, field, Look::Text(Text(look)))
}

const fn many(field: &'static str, look: fn(&Context<'_>) -> Result<Value, Unseen>) -> Variable {
    variable("request", field, Look::Many(look))
}

static VARIABLES: &[Variable] = &[
    text("request", "model", |ctx| Ok(ctx.request.model.into())),
    text("request", "endpoint", |ctx| {
        Ok(ctx.request.endpoint.label().into())
    }),
    int("request", "max_tokens", |ctx| count(ctx.request.max_tokens)),
    bool("request", "stream", |ctx| ctx.request.stream),
    int("request", "bytes", |ctx| count(ctx.request.body_bytes)),
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
    text("request", "inference_geo", |ctx| {
        field(ctx, "inference_geo")
    }),
    text("request", "service_tier", |ctx| field(ctx, "service_tier")),
    text("request", "speed", |ctx| field(ctx, "speed")),
    text("key", "id", |ctx| Ok(ctx.caller.key_id.to_string().into())),
    text("user", "id", |ctx| {
        let user_id = ctx.caller.user_id;
        Ok(user_id.map_or(Cow::Borrowed(""), |id| id.to_string().into()))
    }),
    text("user", "role", |ctx| {
        Ok(ctx.role().map_or("", crate::Role::as_str).into())
    }),
    text("project", "id", |ctx| {
        Ok(ctx.caller.project_id.to_string().into())
    }),
    text("project", "slug", |ctx| Ok(ctx.project_slug().into())),
    text("organization", "id", |ctx| {
        Ok(ctx.caller.org_id.to_string().into())
    }),
    text("organization", "slug", |ctx| Ok(ctx.org_slug.into())),
    text("client", "ip", |ctx| {
        Ok(ctx.caller.address.to_canonical().to_string().into())
    }),
    int("time", "hour", |ctx| i64::from(minute_of_day(ctx.now) / 60)),
    int("time", "weekday", |ctx| i64::from(weekday(ctx.now)) + 1),
    int("time", "unix", |ctx| seconds(ctx.now)),
];

impl Variable {
    /// As the interpreter has it.
    pub(super) fn value(&self, ctx: &Context<'_>) -> Result<Value, Unseen> {
        match self.look {
            Look::Bool(look) => Ok(Value::Bool(look(ctx))),
            Look::Int(look) => Ok(Value::Int(look(ctx))),
            Look::Text(text) => text.see(ctx).map(string),
            Look::Many(look) => look(ctx),
        }
    }

    /// Whether it has entries.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.look, Look::Many(_))
    }

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

impl Text {
    pub(super) fn see<'a>(self, ctx: &Context<'a>) -> Result<Cow<'a, str>, Unseen> {
        (self.0)(ctx).and_then(short)
    }
}

fn short(text: Cow<'_, str>) -> Result<Cow<'_, str>, Unseen> {
    (text.len() <= MOST_BYTES).then_some(text).ok_or(Unseen)
}

fn string(text: Cow<'_, str>) -> Value {
    Value::from(text.into_owned())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Result<Value, Unseen> {
    if names.len() > MOST_ENTRIES {
        return Err(Unseen);
    }
    let names = names.map(|name| short(name.into()).map(string));
    let names: Result<Vec<_>, _> = names.collect();
    Ok(Value::from(names?))
}

/// A string of the body; an empty one if there is none, and nothing that an expression can look at if it is no string. Any number of
/// expressions may look at it: one that is too long isn't read.
fn field<'a>(ctx: &Context<'a>, name: &str) -> Result<Cow<'a, str>, Unseen> {
    match ctx.request.field(name) {
        Some(json) if json.len() <= MOST_JSON_BYTES => json::text(json).ok_or(Unseen),
        Some(_) => Err(Unseen),
        None => Ok("".into()),
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
        let value = short(json::text(json).unwrap_or(json.into()))?;
        Ok((Key::from(name.as_ref()), string(value)))
    };
    let members: Result<HashMap<Key, Value>, Unseen> = members.into_iter().map(member).collect();
    members.map(Value::from)
}
