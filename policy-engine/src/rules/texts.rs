//! Searches what a model would read for patterns.
//!
//! Every string in the fields that hold texts is searched by itself, escapes resolved, up to a number of bytes in all. Not searched are
//! the names of members, and what was encoded: long base64 in the members that the API has it in ([`ENCODED`]), of which the `data`
//! of a source of type `text` is searched after all, and within the `input` of a tool everything is.

mod walk;

use std::sync::Arc;

use regex::{RegexBuilder, RegexSet, RegexSetBuilder};

use self::walk::Walk;
use super::Faults;
use super::reader::{Item, Reader};

/// Members with what was encoded: images and documents, and what the API signs or encrypts.
const ENCODED: &[&str] = &["data", "signature", "encrypted_content"];
/// What is shorter may be anything.
const SHORTEST_ENCODED: usize = 256;

const MOST_PATTERNS: usize = 100;
/// How much memory one compiled pattern may take.
const MOST_BYTES_A_PATTERN: usize = 1 << 20;
/// How much memory all of a policy's may take, and as much again for each thread's work on them.
const MOST_BYTES_IN_ALL: usize = 10 << 20;
const DEFAULT_SCAN_BYTES: u64 = 1 << 20;
const MOST_SCAN_BYTES: u64 = 32 << 20;

/// Named patterns, searched for at once.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    names: Vec<Arc<str>>,
    set: RegexSet,
    scan_bytes: usize,
}

/// What a search came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The name of a pattern.
    Pattern(Arc<str>),
    /// Something that isn't JSON, or is nested deeper than anybody reads.
    Unreadable,
}

impl Patterns {
    /// From `blocked_patterns` and `max_scan_bytes`; none without patterns.
    pub(crate) fn read(reader: &mut Reader<'_, '_>) -> Option<Self> {
        let patterns = reader.optional("blocked_patterns", compile);
        let scan_bytes = reader.optional("max_scan_bytes", |item, faults| {
            item.whole(1..=MOST_SCAN_BYTES, faults)
        });
        let scan_bytes = scan_bytes.unwrap_or(DEFAULT_SCAN_BYTES);
        let (names, set) = patterns.filter(|(names, _)| !names.is_empty())?;
        Some(Self {
            names,
            set,
            scan_bytes: usize::try_from(scan_bytes).unwrap_or(usize::MAX),
        })
    }

    /// The first pattern that a text in one of some JSON values matches.
    pub(crate) fn find<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> Option<Found> {
        let mut walk = Walk::new(&self.set, self.scan_bytes);
        for json in values {
            let read = walk.value(json);
            if let Some(index) = walk.matched() {
                return self.names.get(index).cloned().map(Found::Pattern);
            }
            if read.is_err() {
                return Some(Found::Unreadable);
            }
        }
        None
    }
}

fn compile(item: &Item<'_>, faults: &mut Faults) -> Option<(Vec<Arc<str>>, RegexSet)> {
    let patterns = item.list(faults, read_pattern)?;
    if patterns.len() > MOST_PATTERNS {
        return item.fault(
            faults,
            format!("must have no more than {MOST_PATTERNS} patterns"),
        );
    }
    let (names, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
    let set = RegexSetBuilder::new(patterns)
        .size_limit(MOST_BYTES_IN_ALL)
        .build();
    match set {
        Ok(set) => Some((names, set)),
        Err(_) => item.fault(faults, "are too large together"),
    }
}

fn read_pattern(item: &Item<'_>, faults: &mut Faults) -> Option<(Arc<str>, String)> {
    let mut reader = Reader::new(item, faults);
    let name = reader.required("name", Item::text);
    let pattern = reader.required("pattern", |item, faults| {
        let pattern = item.text(faults)?;
        let mut builder = RegexBuilder::new(pattern);
        match builder.size_limit(MOST_BYTES_A_PATTERN).build() {
            Ok(_) => Some(pattern.to_owned()),
            Err(error) => item.fault(faults, said(&error)),
        }
    });
    reader.finish();
    Some((name?.into(), pattern?))
}

/// Whether a text can be nothing but base64.
fn is_encoded(text: &str) -> bool {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    text.len() >= SHORTEST_ENCODED && text.bytes().all(is_base64)
}

/// An error in one line; the crate draws a picture of the place.
fn said(error: &regex::Error) -> String {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return "is too large a pattern".to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("is no pattern: {}", last.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests;
