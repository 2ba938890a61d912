//! What is to be thought of a tool: findings by fixed rules, and a level, which is the worst of them.
//!
//! Pure: the same tool among the same others is judged the same. A server's own hints are not believed where they say that a tool is
//! harmless; they only add. The rules are in `docs/MCP.md`, one by one.

mod changes;
mod codes;
mod neighbours;
mod schema;
mod text;
mod words;

use serde::Serialize;
use utoipa::ToSchema;

use super::offer::Tool;

pub(crate) use changes::{Before, compare, declared, level_to_store};
pub(crate) use codes::Code;
pub(crate) use neighbours::Neighbour;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Low,
    Medium,
    High,
    Critical,
}

pub(crate) const LEVELS: &[&str] = &["low", "medium", "high", "critical"];

impl Level {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            "critical" => Some(Self::Critical),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

const LONGEST_SHOWN: usize = 100;

/// Something that a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) severity: Level,
    /// None: it is about the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    pub(crate) message: String,
}

impl Finding {
    /// About a tool, or about the server where there is no name.
    pub(crate) fn of(code: Code, tool: &str) -> Self {
        Self::because(code, tool, "")
    }

    /// The same, with what the rule has seen.
    pub(crate) fn because(code: Code, tool: &str, seen: &str) -> Self {
        let (severity, message) = code.meaning();
        let message = if seen.is_empty() {
            message.to_owned()
        } else {
            format!("{message}: {}", shown(seen))
        };
        Self {
            code,
            severity,
            tool: (!tool.is_empty()).then(|| shown(tool)),
            message,
        }
    }

    fn at(self, severity: Level) -> Self {
        Self { severity, ..self }
    }
}

/// A part of a text, fit to be read by whoever decides.
fn shown(text: &str) -> String {
    let plain = |letter: char| {
        if text::is_hidden(letter) || letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.chars().take(LONGEST_SHOWN).map(plain).collect()
}

/// All that is found of a tool by itself and among its neighbours.
pub(crate) fn rate(tool: &Tool, neighbours: &[Neighbour]) -> Vec<Finding> {
    let mut findings = words::find(tool);
    findings.extend(schema::find(tool));
    findings.extend(text::find(
        &tool.name,
        tool.description.as_deref().unwrap_or_default(),
    ));
    for inner in schema::texts(&tool.schema) {
        findings.extend(text::find(&tool.name, &inner));
    }
    findings.extend(neighbours::find(tool, neighbours));
    findings.extend(hints(tool, &findings));
    findings.extend(executes_anything(tool, &findings));
    once(findings)
}

/// What is found of a server's own words to the model.
pub(crate) fn rate_instructions(instructions: &str) -> Vec<Finding> {
    once(text::find("", instructions))
}

/// The worst of a tool's findings.
pub(crate) fn level<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Level {
    let worst = findings.into_iter().map(|finding| finding.severity).max();
    worst.unwrap_or(Level::Low)
}

/// What the annotations add.
fn hints(tool: &Tool, found: &[Finding]) -> Vec<Finding> {
    let hints = tool.annotations;
    let name = tool.name.as_str();
    let acts = found
        .iter()
        .any(|finding| finding.code.is_of_acting() && finding.severity >= Level::Medium);
    let mut findings = Vec::new();
    if hints.destructive == Some(true) && hints.read_only != Some(true) {
        findings.push(Finding::of(Code::HintDestructive, name));
    }
    if hints.open_world == Some(true) {
        findings.push(Finding::of(Code::HintOpenWorld, name));
    }
    if hints.read_only == Some(false) {
        findings.push(Finding::of(Code::HintWrites, name));
    }
    if hints.read_only == Some(true) && (acts || hints.destructive == Some(true)) {
        findings.push(Finding::of(Code::HintContradicted, name));
    }
    if hints.read_only.is_none() && hints.destructive.is_none() {
        findings.push(Finding::of(Code::HintMissing, name));
    }
    findings
}

/// A name that runs things, and a place for whatever is to be run.
fn executes_anything(tool: &Tool, found: &[Finding]) -> Option<Finding> {
    let has = |code: Code, least: Level| {
        found
            .iter()
            .any(|it| it.code == code && it.severity >= least)
    };
    let is_so = has(Code::WordExecutes, Level::High) && has(Code::SchemaCommand, Level::Low);
    is_so.then(|| Finding::of(Code::ExecutesAnything, &tool.name))
}

/// Each rule once, at its worst.
fn once(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|one, other| (one.code, other.severity).cmp(&(other.code, one.severity)));
    findings.dedup_by_key(|finding| finding.code);
    findings
}

#[cfg(test)]
mod tests;
