//! What requests have to say, and what they must not.

use std::collections::BTreeMap;

use regex::{RegexSet, RegexSetBuilder};
use serde_json::Value;
use serde_json::value::RawValue;

use super::reader::{Faults, Reader, text, whole};
use super::texts::Search;
use super::{Action, Context, Objection, action};
use crate::denial::Reason;
use crate::facts::Request;

const DEFAULT_SCAN_BYTES: u64 = 1 << 20;
const MOST_SCAN_BYTES: u64 = 32 << 20;
const MOST_PATTERNS: usize = 100;
/// Of one compiled pattern, and of all of them at the most so many times that.
const COMPILED_BYTES: usize = 1 << 20;

/// A compliance policy.
#[derive(Debug)]
pub(crate) struct Compliance {
    pub(super) action: Action,
    required_metadata: Vec<String>,
    forbidden_fields: Vec<Vec<String>>,
    /// `None` in it: those that ask for none.
    inference_geo: Option<Vec<Option<String>>>,
    patterns: Option<Patterns>,
}

#[derive(Debug)]
struct Patterns {
    names: Vec<String>,
    set: RegexSet,
    most_bytes: usize,
}

impl Compliance {
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.rules", value, faults);
        let r = &mut reader;
        let owned = |value| text(value).map(str::to_owned);
        let compliance = Self {
            action: action(r),
            required_metadata: r.list("required_metadata", owned).unwrap_or_default(),
            forbidden_fields: r.list("forbidden_fields", path).unwrap_or_default(),
            inference_geo: r.list("inference_geo", |value| {
                (!value.is_null()).then(|| owned(value)).transpose()
            }),
            patterns: patterns(r),
        };
        reader.finish();
        compliance
    }

    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        let request = ctx.request;
        if request.fields.is_empty() {
            return None;
        }
        let refused = self
            .check_metadata(request)
            .or_else(|| self.check_fields(request))
            .or_else(|| self.check_geo(request))
            .or_else(|| self.check_texts(request));
        refused.map(|message| Objection::new(Reason::PolicyDenied, message))
    }

    fn check_metadata(&self, request: &Request<'_>) -> Option<String> {
        if self.required_metadata.is_empty() {
            return None;
        }
        let metadata = metadata(request);
        let is_there = |name: &String| {
            let value = metadata.get(name.as_str());
            value.is_some_and(|value| !matches!(value, Value::Null) && *value != "")
        };
        let missing = self.required_metadata.iter().find(|name| !is_there(name))?;
        Some(format!("metadata.{missing} is required"))
    }

    fn check_fields(&self, request: &Request<'_>) -> Option<String> {
        let is_there = |path: &&Vec<String>| {
            let (first, rest) = path.split_first()?;
            has(request.field(first)?, rest).then_some(())
        };
        let found = self
            .forbidden_fields
            .iter()
            .find(|path| is_there(path).is_some())?;
        Some(format!("the field {} is not allowed", found.join(".")))
    }

    fn check_geo(&self, request: &Request<'_>) -> Option<String> {
        let allowed = self.inference_geo.as_ref()?;
        let asked = request.text("inference_geo");
        if request.field("inference_geo").is_some() == asked.is_some()
            && allowed.iter().any(|geo| geo.as_deref() == asked.as_deref())
        {
            return None;
        }
        let allowed: Vec<_> = allowed.iter().flatten().map(String::as_str).collect();
        Some(format!(
            "inference_geo must be one of {}",
            allowed.join(", ")
        ))
    }

    fn check_texts(&self, request: &Request<'_>) -> Option<String> {
        let patterns = self.patterns.as_ref()?;
        let mut search = Search::new(&patterns.set, patterns.most_bytes);
        for field in ["system", "messages"] {
            let Some(json) = request.field(field) else {
                continue;
            };
            match search.through(json) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let name = patterns.names.get(found).map_or("", String::as_str);
                    return Some(format!("a text matches the blocked pattern {name}"));
                }
                Err(_) => return Some(format!("`{field}` can't be searched for blocked patterns")),
            }
        }
        None
    }
}

/// `metadata`, as far as it can be read.
pub(super) fn metadata(request: &Request<'_>) -> BTreeMap<String, Value> {
    let json = request.field("metadata").unwrap_or("{}");
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether something stands at a path through objects; `null` is nothing.
fn has(json: &str, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return json != "null";
    };
    let object: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(json);
    object.is_ok_and(|object| object.get(name).is_some_and(|value| has(value.get(), rest)))
}

fn path(value: &Value) -> Result<Vec<String>, String> {
    let parts: Vec<String> = text(value)?.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) {
        return Err("must be the name of a field, or names with points between".to_owned());
    }
    Ok(parts)
}

fn patterns(reader: &mut Reader<'_>) -> Option<Patterns> {
    let most_bytes = reader.optional("max_scan_bytes", whole(1..=MOST_SCAN_BYTES));
    let listed = reader.objects("blocked_patterns", pattern)?;
    if listed.len() > MOST_PATTERNS {
        reader.fault(
            ".blocked_patterns",
            format!("must have {MOST_PATTERNS} entries at the most"),
        );
        return None;
    }
    let (names, texts): (Vec<_>, Vec<_>) = listed.into_iter().unzip();
    let most = COMPILED_BYTES * texts.len().max(1);
    match RegexSetBuilder::new(&texts).size_limit(most).build() {
        Ok(set) => Some(Patterns {
            names,
            set,
            most_bytes: usize::try_from(most_bytes.unwrap_or(DEFAULT_SCAN_BYTES))
                .unwrap_or(usize::MAX),
        }),
        Err(error) => {
            reader.fault(".blocked_patterns", error.to_string());
            None
        }
    }
}

/// Its name is what callers are told.
fn pattern(mut reader: Reader<'_>) -> Option<(String, String)> {
    let name = reader.required("name", |value| text(value).map(str::to_owned));
    let pattern = reader.required("pattern", |value| {
        let text = text(value)?;
        let compiled = regex::RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES)
            .build();
        compiled.map(|_| text.to_owned()).map_err(|error| {
            // The parser draws where it is, over several lines.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            format!(
                "is no regular expression: {}",
                why.trim_start_matches("error: ")
            )
        })
    });
    reader.finish();
    Some((name?, pattern?))
}
