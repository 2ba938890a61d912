//! The variables that expressions may look at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cel::Value;
use cel::common::ast::{Expr, IdedExpr};

use super::super::compliance::metadata;
use super::super::tools::{Tool, entries, mcp_uses};
use super::super::{Context, hours};
use super::bounds::parts;
use crate::facts::Request;

/// Of longer lists nothing is said: an expression that looks at one takes its action.
const MOST_ENTRIES: usize = 1_000;

/// All of them.
const NAMES: [&str; 23] = [
    "client.ip",
    "key.id",
    "organization.id",
    "organization.slug",
    "project.id",
    "project.slug",
    "request.betas",
    "request.bytes",
    "request.endpoint",
    "request.inference_geo",
    "request.max_tokens",
    "request.mcp_servers",
    "request.metadata",
    "request.model",
    "request.service_tier",
    "request.speed",
    "request.stream",
    "request.tools",
    "time.hour",
    "time.unix",
    "time.weekday",
    "user.id",
    "user.role",
];

/// The variables that an expression looks at.
pub(super) fn used(expression: &IdedExpr) -> Result<Vec<&'static str>, String> {
    let mut names = Names::default();
    names.collect(expression, &[]);
    if names.unknown.is_empty() {
        return Ok(names.known.into_iter().collect());
    }
    let unknown: Vec<_> = names.unknown.into_iter().collect();
    Err(format!(
        "has no variable {}: there are {}",
        unknown.join(", "),
        NAMES.join(", ")
    ))
}

#[derive(Default)]
struct Names {
    known: BTreeSet<&'static str>,
    unknown: BTreeSet<String>,
}

impl Names {
    /// `local` names are those of macros around it.
    fn collect(&mut self, expression: &IdedExpr, local: &[&str]) {
        match &expression.expr {
            Expr::Ident(name) if !is_local(name, local) => {
                self.unknown.insert(name.clone());
            }
            Expr::Select(select) => {
                if let Expr::Ident(object) = &select.operand.expr
                    && !is_local(object, local)
                {
                    self.add(format!("{object}.{}", select.field));
                } else {
                    self.collect(&select.operand, local);
                }
            }
            Expr::Comprehension(it) => {
                let mut local = local.to_vec();
                local.extend([it.iter_var.as_str(), it.accu_var.as_str()]);
                local.extend(it.iter_var2.as_deref());
                for part in parts(expression) {
                    self.collect(part, &local);
                }
            }
            Expr::Unspecified
            | Expr::Ident(_)
            | Expr::Literal(_)
            | Expr::Call(_)
            | Expr::List(_)
            | Expr::Map(_)
            | Expr::Struct(_) => {
                for part in parts(expression) {
                    self.collect(part, local);
                }
            }
        }
    }

    fn add(&mut self, name: String) {
        match NAMES.iter().find(|known| **known == name) {
            Some(known) => {
                self.known.insert(known);
            }
            None => {
                self.unknown.insert(name);
            }
        }
    }
}

fn is_local(name: &str, local: &[&str]) -> bool {
    local.contains(&name)
}

/// The variables with their values.
pub(super) fn context(ctx: &Context<'_>, names: &[&'static str]) -> cel::Context<'static, 'static> {
    let mut objects: BTreeMap<&str, HashMap<String, Value>> = BTreeMap::new();
    for name in names {
        if let Some((object, field)) = name.split_once('.') {
            let fields = objects.entry(object).or_default();
            fields.insert(field.to_owned(), value(ctx, name));
        }
    }
    let mut context = cel::Context::default();
    for (object, fields) in objects {
        context.add_variable_from_value(object.to_owned(), Value::from(fields));
    }
    context
}

fn value(ctx: &Context<'_>, name: &str) -> Value {
    let request = ctx.request;
    let (weekday, minute) = hours::day_and_minute(ctx.now);
    let holder = &ctx.holder;
    match name {
        "client.ip" => ctx.caller.address.to_string().into(),
        "key.id" => holder.key_id.to_string().into(),
        "organization.id" => holder.org_id.to_string().into(),
        "organization.slug" => ctx.org_slug.into(),
        "project.id" => holder.project_id.to_string().into(),
        "project.slug" => ctx.people.slug(holder.project_id).into(),
        "request.betas" => list(request.betas.iter().map(|beta| (*beta).to_owned())),
        "request.bytes" => int(request.body_bytes),
        "request.endpoint" => request.endpoint.label().into(),
        "request.max_tokens" => int(request.max_tokens),
        "request.mcp_servers" => servers(request),
        "request.metadata" => texts_of(request),
        "request.model" => request.model.into(),
        "request.stream" => request.stream.into(),
        "request.tools" => tools(request),
        "time.hour" => Value::Int(i64::from(minute / 60)),
        "time.unix" => Value::Int(ctx.now.unix_micros.div_euclid(1_000_000)),
        "time.weekday" => Value::Int(i64::from(weekday) + 1),
        "user.id" => text(holder.user_id.map(|user| user.to_string())),
        "user.role" => text(
            ctx.people
                .role(holder.user_id)
                .map(|role| role.as_str().to_owned()),
        ),
        _ => {
            let field = name.strip_prefix("request.").unwrap_or_default();
            text(request.text(field).map(std::borrow::Cow::into_owned))
        }
    }
}

fn text(text: Option<String>) -> Value {
    text.unwrap_or_default().into()
}

fn int(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What is too long, or can't be read, is `null`, on which every comparison fails.
fn list(texts: impl Iterator<Item = String>) -> Value {
    let texts: Vec<Value> = texts.take(MOST_ENTRIES + 1).map(Value::from).collect();
    if texts.len() > MOST_ENTRIES {
        return Value::Null;
    }
    texts.into()
}

fn servers(request: &Request<'_>) -> Value {
    let Ok(uses) = mcp_uses(request) else {
        return Value::Null;
    };
    let names: BTreeSet<String> = uses
        .into_iter()
        .map(|each| each.server.into_owned())
        .collect();
    list(names.into_iter())
}

fn tools(request: &Request<'_>) -> Value {
    let Ok(tools) = entries::<Tool<'_>>(request, "tools") else {
        return Value::Null;
    };
    list(
        tools
            .into_iter()
            .filter_map(|tool| Some(tool.name?.into_owned())),
    )
}

fn texts_of(request: &Request<'_>) -> Value {
    let metadata = metadata(request);
    if metadata.len() > MOST_ENTRIES {
        return Value::Null;
    }
    let texts: HashMap<String, Value> = metadata
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?.into())))
        .collect();
    texts.into()
}
