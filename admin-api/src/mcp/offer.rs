//! What a server offers, made fit to be judged and stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::MOST_TOOLS;
use super::risk::{Code, Finding};

/// As long as the column.
const LONGEST_NAME: usize = 255;
const LONGEST_DESCRIPTION: usize = 10_000;
const MOST_SCHEMA_BYTES: usize = 64 << 10;
const MOST_SCHEMA_LEVELS: usize = 32;

/// A tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) schema: Value,
    pub(crate) annotations: Annotations,
}

/// What a server says of a tool, which need not be true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Annotations {
    pub(crate) read_only: Option<bool>,
    pub(crate) destructive: Option<bool>,
    pub(crate) open_world: Option<bool>,
}

/// The tools that can be stored, and what is wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    pub(crate) tools: Vec<Tool>,
    pub(crate) findings: Vec<Finding>,
}

impl Offer {
    /// From the entries of a list of tools.
    pub(crate) fn read(entries: Vec<Value>, is_cut: bool) -> Self {
        let mut offer = Self::default();
        let mut names = BTreeSet::new();
        let is_cut = is_cut || entries.len() > MOST_TOOLS;
        for entry in entries.into_iter().take(MOST_TOOLS) {
            let entry = without_nul(entry);
            let name = entry
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let name = name.to_owned();
            if name.trim().is_empty() || name.chars().count() > LONGEST_NAME {
                offer
                    .findings
                    .push(Finding::of(Code::ToolUnreadable, &name));
            } else if names.insert(name.clone()) {
                offer.add(name, entry);
            } else {
                offer.findings.push(Finding::of(Code::DuplicateTool, &name));
            }
        }
        if is_cut {
            offer.findings.push(Finding::of(Code::TooManyTools, ""));
        }
        offer
    }

    fn add(&mut self, name: String, mut entry: Value) {
        let description = entry.get("description").and_then(Value::as_str);
        let description = description.map(|text| {
            if text.chars().count() > LONGEST_DESCRIPTION {
                self.findings
                    .push(Finding::of(Code::DescriptionLong, &name));
            }
            text.chars().take(LONGEST_DESCRIPTION).collect()
        });
        let schema = ["inputSchema", "input_schema"]
            .into_iter()
            .find_map(|field| entry.get_mut(field).map(Value::take));
        let mut schema = schema.unwrap_or_else(|| json!({}));
        if levels(&schema) > MOST_SCHEMA_LEVELS || schema.to_string().len() > MOST_SCHEMA_BYTES {
            self.findings.push(Finding::of(Code::SchemaTooLarge, &name));
            schema = json!({});
        }
        let hint = |name: &str| {
            entry
                .get("annotations")
                .and_then(|said| said.get(name))
                .and_then(Value::as_bool)
        };
        let annotations = Annotations {
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            open_world: hint("openWorldHint"),
        };
        self.tools.push(Tool {
            name,
            description,
            schema,
            annotations,
        });
    }
}

/// The entries of a manifest: an object with `tools`.
pub(crate) fn of_manifest(manifest: &Value) -> Vec<Value> {
    let tools = manifest.get("tools").and_then(Value::as_array);
    tools.cloned().unwrap_or_default()
}

fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The one character that PostgreSQL has no place for is replaced.
fn without_nul(value: Value) -> Value {
    let mend = |text: String| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(text) => Value::String(mend(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (mend(name), without_nul(value)));
            Value::Object(members.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: Value) -> (Vec<String>, Vec<Code>) {
        let Value::Array(entries) = entries else {
            panic!()
        };
        let offer = Offer::read(entries, false);
        let names = offer.tools.into_iter().map(|tool| tool.name);
        let codes = offer.findings.into_iter().map(|finding| finding.code);
        (names.collect(), codes.collect())
    }

    #[test]
    fn what_can_not_be_stored_is_found() {
        let deep = (0..40).fold(json!({}), |inner, _| json!({"a": inner}));
        for (entries, names, codes) in [
            (
                json!([{"name": "a"}, {"name": "b"}]),
                vec!["a", "b"],
                vec![],
            ),
            (
                json!([{"name": "a"}, {"name": "a"}]),
                vec!["a"],
                vec![Code::DuplicateTool],
            ),
            (
                json!([{}, 5, {"name": 1}, {"name": " "}, {"name": "x".repeat(256)}]),
                vec![],
                vec![Code::ToolUnreadable; 5],
            ),
            (json!([{"name": "a\0b"}]), vec!["a\u{fffd}b"], vec![]),
            (
                json!([{"name": "a", "inputSchema": deep}]),
                vec!["a"],
                vec![Code::SchemaTooLarge],
            ),
            (
                json!([{"name": "a", "inputSchema": "x".repeat(70_000)}]),
                vec!["a"],
                vec![Code::SchemaTooLarge],
            ),
            (
                json!([{"name": "a", "description": "x".repeat(10_001)}]),
                vec!["a"],
                vec![Code::DescriptionLong],
            ),
        ] {
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(check(entries), (names, codes));
        }
        let many: Vec<_> = (0..600)
            .map(|number| json!({"name": number.to_string()}))
            .collect();
        let (names, codes) = check(Value::Array(many));
        assert_eq!((names.len(), codes), (MOST_TOOLS, vec![Code::TooManyTools]));
    }
}
