//! Models that a request names: its own, those it falls back to, and those of its tools.

use std::borrow::Cow;

use serde::Deserialize;

use crate::denial::Reason;
use crate::rules::json::{Bounded, Text};
use crate::rules::models::ModelSet;
use crate::rules::pair::Pair;
use crate::rules::tools::MOST_TOOLS;
use crate::rules::{Context, Objection, Shown};

/// An entry of `fallbacks`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Fallback<'a> {
    Name(#[serde(borrow)] Text<'a>),
    Object {
        #[serde(borrow)]
        model: Option<Text<'a>>,
    },
}

/// Looks at all models that a request names.
pub(crate) fn check(models: &Pair<ModelSet>, ctx: &Context<'_>) -> Option<Objection> {
    if !models.is_set() {
        return None;
    }
    check_name(models, ctx.request.model)
        .or_else(|| check_fallbacks(models, ctx))
        .or_else(|| check_tools(models, ctx))
}

/// The empty name is none.
fn check_name(models: &Pair<ModelSet>, model: &str) -> Option<Objection> {
    if model.is_empty() {
        return None;
    }
    let wrong = models.objects(|set| set.covers(model))?;
    let message = format!("the model {} {wrong}", Shown(model));
    Some(Objection::new(Reason::ModelNotAllowed, message))
}

/// `"default"` leaves the choice to the API, and is no model.
fn check_fallbacks(models: &Pair<ModelSet>, ctx: &Context<'_>) -> Option<Objection> {
    let json = ctx.request.field("fallbacks")?;
    if json == "\"default\"" {
        return None;
    }
    let fallbacks: Result<Bounded<Fallback<'_>, MOST_TOOLS>, _> = serde_json::from_str(json);
    let Ok(Bounded {
        entries,
        more: false,
    }) = fallbacks
    else {
        return Some(Objection::denied(
            "the fallbacks of the request can't be read",
        ));
    };
    let mut names = entries.into_iter().filter_map(Fallback::name);
    names.find_map(|name| check_name(models, &name))
}

fn check_tools(models: &Pair<ModelSet>, ctx: &Context<'_>) -> Option<Objection> {
    if !ctx.tools_may_say("model") {
        return None;
    }
    let tools = match ctx.tools() {
        Ok(tools) => tools,
        Err(objection) => return Some(objection),
    };
    tools
        .models
        .iter()
        .find_map(|model| check_name(models, model))
}

impl<'a> Fallback<'a> {
    fn name(self) -> Option<Cow<'a, str>> {
        let name = match self {
            Self::Name(name) => name,
            Self::Object { model } => model?,
        };
        (name.0 != "default").then_some(name.0)
    }
}
