//! Tools of other approved servers of the project: one must not pass for another.

use std::collections::BTreeSet;

use super::words::words;
use super::{Code, Finding};
use crate::mcp::offer::Tool;

/// A tool of another server.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    server: String,
    tool: String,
    folded: String,
    /// Of several words, so that a text that has it means it: `read_file`, `listRepos`.
    is_telling: bool,
}

/// Names shorter than this are words like others.
const SHORTEST_NAME: usize = 5;
const LONGEST_NAME: usize = 128;

impl Neighbour {
    pub(crate) fn new(server: String, tool: String) -> Self {
        Self {
            folded: folded(&tool),
            is_telling: tool.len() >= SHORTEST_NAME && words(&tool).len() > 1,
            server,
            tool,
        }
    }
}

pub(super) fn find(tool: &Tool, neighbours: &[Neighbour]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own = folded(&tool.name);
    let description = tool.description.as_deref().unwrap_or_default();
    let named = named(description);
    for neighbour in neighbours {
        let seen = || format!("{}/{}", neighbour.server, neighbour.tool);
        if neighbour.tool == tool.name {
            findings.push(Finding::because(Code::NameShadows, &tool.name, &seen()));
        } else if neighbour.folded == own {
            findings.push(Finding::because(Code::NameConfusable, &tool.name, &seen()));
        } else if neighbour.is_telling && named.contains(neighbour.tool.as_str()) {
            findings.push(Finding::because(Code::MentionsOther, &tool.name, &seen()));
        }
    }
    let is_plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/');
    if !tool.name.chars().all(is_plain) || tool.name.len() > LONGEST_NAME {
        findings.push(Finding::of(Code::NameInvalid, &tool.name));
    }
    if description.trim().is_empty() {
        findings.push(Finding::of(Code::DescriptionMissing, &tool.name));
    }
    findings
}

/// What a text may mean as names: its words, and the tools of `mcp__server__tool`.
fn named(description: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let words = description.split(|letter: char| !is_part(letter));
    words
        .flat_map(|word| {
            let of_server = word
                .strip_prefix("mcp__")
                .and_then(|rest| rest.split_once("__"));
            [Some(word), of_server.map(|(_, tool)| tool)]
        })
        .flatten()
        .collect()
}

/// Without what the eye passes over.
fn folded(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    let alike = letters
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            '0' | 'о' | 'ο' => 'o',
            '1' | 'i' | 'і' | 'ı' => 'l',
            '5' | 'ѕ' => 's',
            'а' | 'α' => 'a',
            'е' => 'e',
            'р' | 'ρ' => 'p',
            'с' => 'c',
            'х' => 'x',
            'у' => 'y',
            letter => letter,
        });
    alike.collect()
}
