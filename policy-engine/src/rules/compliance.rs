//! What a request's body must have, must not have, and must not say.

use serde_json::Value;

use super::reader::{Item, Reader};
use super::texts::{Found, Patterns};
use super::{Action, Context, Faults, Objection, Shown, json};

/// Fields with what a model will read: of messages, completions, events of sessions, and dreams.
const WITH_TEXTS: [&str; 5] = ["system", "messages", "prompt", "events", "instructions"];

/// What a compliance policy says.
#[derive(Debug, Clone)]
pub(crate) struct ComplianceRule {
    pub(crate) action: Action,
    required_metadata: Vec<String>,
    forbidden_fields: Vec<FieldPath>,
    geo: Option<Vec<Geo>>,
    patterns: Option<Patterns>,
}

/// A field of the body, and the way from there through objects.
#[derive(Debug, Clone)]
struct FieldPath {
    text: String,
    field: String,
    members: Vec<String>,
}

/// None is a request that asks for no place.
type Geo = Option<String>;

impl ComplianceRule {
    /// From `rules`. One with faults isn't meant to be used.
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new(&Item::new("$.rules", value), faults);
        let names = |item: &Item<'_>, faults: &mut Faults| {
            item.list(faults, |item, faults| item.text(faults).map(str::to_owned))
        };
        let paths = |item: &Item<'_>, faults: &mut Faults| item.list(faults, FieldPath::read);
        let geo = |item: &Item<'_>, faults: &mut Faults| item.list(faults, read_geo);
        let rule = Self {
            action: reader.optional("action", Action::read).unwrap_or_default(),
            required_metadata: reader
                .optional("required_metadata", names)
                .unwrap_or_default(),
            forbidden_fields: reader
                .optional("forbidden_fields", paths)
                .unwrap_or_default(),
            geo: reader.optional("inference_geo", geo),
            patterns: Patterns::read(&mut reader),
        };
        reader.finish();
        rule
    }

    /// The first thing that is missing or too much.
    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        self.check_metadata(ctx)
            .or_else(|| self.check_fields(ctx))
            .or_else(|| self.check_geo(ctx))
            .or_else(|| self.check_patterns(ctx))
    }

    fn check_metadata(&self, ctx: &Context<'_>) -> Option<Objection> {
        if self.required_metadata.is_empty() || !ctx.asks_for_an_answer() {
            return None;
        }
        let metadata = ctx.request.field("metadata").unwrap_or("{}");
        let members = json::members(metadata).unwrap_or_default();
        let has = |name: &String| {
            let member = members.iter().rev().find(|(key, _)| key == name);
            member.is_some_and(|(_, value)| !matches!(*value, "null" | "\"\""))
        };
        let missing = self.required_metadata.iter().find(|name| !has(name))?;
        Some(Objection::denied(format!("metadata.{missing} is required")))
    }

    fn check_fields(&self, ctx: &Context<'_>) -> Option<Objection> {
        let mut paths = self.forbidden_fields.iter();
        let path = paths.find(|path| path.is_in(ctx))?;
        let message = format!("the field {} is forbidden", path.text);
        Some(Objection::denied(message))
    }

    fn check_geo(&self, ctx: &Context<'_>) -> Option<Objection> {
        let allowed = self.geo.as_ref()?;
        let json = ctx.request.field("inference_geo");
        if json.is_none() && !ctx.asks_for_an_answer() {
            return None;
        }
        let geo = match json.map(json::text) {
            Some(None) => return Some(Objection::denied("inference_geo must be a string")),
            Some(geo) => geo,
            None => None,
        };
        let fits = |allowed: &Geo| allowed.as_deref() == geo.as_deref();
        if allowed.iter().any(fits) {
            return None;
        }
        Some(Objection::denied(match &geo {
            Some(geo) => format!("inference_geo {} is not among those allowed", Shown(geo)),
            None => "inference_geo is required".to_owned(),
        }))
    }

    fn check_patterns(&self, ctx: &Context<'_>) -> Option<Objection> {
        let patterns = self.patterns.as_ref()?;
        let fields = WITH_TEXTS.map(|name| ctx.request.field(name));
        let texts = fields.into_iter().flatten();
        Some(Objection::denied(match patterns.find(texts)? {
            Found::Pattern(name) => format!("a text of the request matches the pattern {name}"),
            Found::Unreadable => "the texts of the request can't be searched".to_owned(),
        }))
    }
}

impl FieldPath {
    fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        let text = item.text(faults)?;
        let mut names = text.split('.').map(str::to_owned);
        let field = names.next()?;
        let members: Vec<_> = names.collect();
        if field.is_empty() || members.iter().any(String::is_empty) {
            return item.fault(faults, "must be names with a point between them");
        }
        Some(Self {
            text: text.to_owned(),
            field,
            members,
        })
    }

    fn is_in(&self, ctx: &Context<'_>) -> bool {
        let field = ctx.request.field(&self.field);
        let mut members = self.members.iter();
        let value =
            field.and_then(|json| members.try_fold(json, |json, name| json::member(json, name)));
        value.is_some()
    }
}

fn read_geo(item: &Item<'_>, faults: &mut Faults) -> Option<Geo> {
    if item.value.is_null() {
        return Some(None);
    }
    match item.value.as_str().filter(|geo| !geo.is_empty()) {
        Some(geo) => Some(Some(geo.to_owned())),
        None => item.fault(faults, "must be the name of a place, or null"),
    }
}

#[cfg(test)]
mod tests;
