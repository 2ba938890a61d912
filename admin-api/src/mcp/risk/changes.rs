//! What differs from before, and from what was declared; and which level is stored.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Code, Finding, Level};
use crate::mcp::offer::Tool;

/// A tool as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) description: Option<String>,
    pub(crate) schema: Value,
    pub(crate) level: Level,
    pub(crate) enabled: bool,
}

/// What has changed of an approved server's tools since they were stored.
pub(crate) fn compare(before: &BTreeMap<String, Before>, tools: &[Tool]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for tool in tools {
        match before.get(&tool.name) {
            None => findings.push(Finding::of(Code::ToolAdded, &tool.name)),
            Some(before) if before.is(tool) => {}
            Some(_) => findings.push(Finding::of(Code::ToolChanged, &tool.name)),
        }
    }
    findings
}

/// What a server offers besides what its manifest declares.
pub(crate) fn declared(manifest: &[Tool], tools: &[Tool]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for tool in tools {
        match manifest.iter().find(|declared| declared.name == tool.name) {
            None => findings.push(Finding::of(Code::ManifestUndeclared, &tool.name)),
            Some(declared)
                if declared.description == tool.description && declared.schema == tool.schema => {}
            Some(_) => findings.push(Finding::of(Code::ManifestDiffers, &tool.name)),
        }
    }
    findings
}

impl Before {
    pub(crate) fn is(&self, tool: &Tool) -> bool {
        self.description == tool.description && self.schema == tool.schema
    }
}

/// The level to store: a person's stays unless the rules find it worse than they did before, or never looked.
pub(crate) fn level_to_store(stored: Level, last_found: Option<Level>, found: Level) -> Level {
    match last_found {
        // Nobody has said otherwise.
        Some(last) if last == stored => found,
        Some(last) if found <= last => stored,
        Some(_) | None => stored.max(found),
    }
}
