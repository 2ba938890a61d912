//! What a tool takes, by its schema.

use serde_json::Value;

use super::words::words;
use super::{Code, Finding, Level};
use crate::mcp::offer::Tool;

/// Names of properties, word by word.
const RULES: &[(Code, &[&str])] = &[
    (
        Code::SchemaCommand,
        &[
            "command",
            "commands",
            "cmd",
            "shell",
            "script",
            "code",
            "expression",
            "sql",
            "argv",
            "statement",
        ],
    ),
    (
        Code::SchemaSecret,
        &[
            "password",
            "secret",
            "credential",
            "credentials",
            "passphrase",
            "token",
            "apikey",
        ],
    ),
    (
        Code::SchemaAddress,
        &[
            "url", "uri", "urls", "host", "hostname", "endpoint", "webhook", "callback", "ip",
        ],
    ),
    (
        Code::SchemaPath,
        &[
            "path",
            "paths",
            "file",
            "filename",
            "filepath",
            "directory",
            "dir",
            "folder",
        ],
    ),
    (Code::SchemaQuery, &["query", "filter", "where"]),
];

pub(super) fn find(tool: &Tool) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(&tool.schema, &mut |schema| {
        look(&tool.name, schema, &mut findings);
    });
    let kind = tool.schema.get("type");
    if !tool.schema.is_object() || kind.is_some_and(|kind| kind != "object") {
        findings.push(Finding::of(Code::SchemaInvalid, &tool.name));
    }
    // What isn't said is allowed, but seldom meant where something else is said.
    let says = |name: &str| tool.schema.get(name).is_some();
    if !says("properties") && !says("additionalProperties") {
        findings.push(Finding::of(Code::SchemaOpen, &tool.name).at(Level::Low));
    }
    findings
}

fn look(tool: &str, schema: &Value, findings: &mut Vec<Finding>) {
    let more = schema.get("additionalProperties");
    let is_open = |more: &Value| {
        *more == Value::Bool(true) || more.as_object().is_some_and(serde_json::Map::is_empty)
    };
    if more.is_some_and(is_open) {
        findings.push(Finding::of(Code::SchemaOpen, tool));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        // The model chooses among what is listed.
        if property.get("enum").is_some() || property.get("const").is_some() {
            continue;
        }
        let words = words(name);
        let is_key = words
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if one == "api" && other == "key"));
        for (code, rule) in RULES {
            let is_named = words.iter().any(|word| rule.contains(&word.as_str()));
            if is_named || (is_key && *code == Code::SchemaSecret) {
                findings.push(Finding::because(*code, tool, name));
            }
        }
    }
}

/// Every schema within a schema. How deep they are has been looked at before.
fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            look(value);
            members.values().for_each(|member| walk(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All that a model reads of a schema: every text and every name in it.
pub(super) fn texts(schema: &Value) -> Vec<String> {
    match schema {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => {
            let within = |(name, member): (&String, &Value)| {
                let mut found = texts(member);
                found.push(name.clone());
                found
            };
            members.iter().flat_map(within).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
