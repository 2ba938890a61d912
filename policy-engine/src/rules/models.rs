//! Models as policies name them.

use domain::model::undated;
use serde_json::Value;

use super::globs::{Globs, glob};
use super::reader::{Reader, text};

/// A set of models.
#[derive(Debug, Clone)]
pub(crate) enum ModelSet {
    /// `all` or `*`.
    All,
    /// What one of the entries covers.
    Some(Vec<Entry>),
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A name, lower-case. Without a date it covers its dated ids.
    Name(String),
    /// A word between dashes.
    Family(String),
    /// A glob.
    Glob(Globs),
}

impl ModelSet {
    /// The list in a field, if there is one.
    pub(crate) fn read(reader: &mut Reader<'_>, field: &'static str) -> Option<Self> {
        let entries = reader.list(field, entry)?;
        let entries: Option<Vec<_>> = entries.into_iter().collect();
        Some(entries.map_or(Self::All, Self::Some))
    }

    /// Whether a model is in it.
    pub(crate) fn covers(&self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(entries) => entries.iter().any(|entry| entry.covers(model)),
        }
    }
}

/// `None` covers everything.
fn entry(value: &Value) -> Result<Option<Entry>, String> {
    let text = text(value)?.to_ascii_lowercase();
    if text == "all" || text == "*" {
        return Ok(None);
    }
    let glob = glob(&text)?;
    Ok(Some(if text.contains(['*', '?', '[', '{']) {
        Entry::Glob(Globs::new(vec![glob]))
    } else if text.contains('-') {
        Entry::Name(text)
    } else {
        Entry::Family(text)
    }))
}

impl Entry {
    fn covers(&self, model: &str) -> bool {
        match self {
            Self::Name(name) => {
                name.eq_ignore_ascii_case(model) || name.eq_ignore_ascii_case(undated(model))
            }
            // A name without dashes is a family of its own.
            Self::Family(word) => model.split('-').any(|part| part.eq_ignore_ascii_case(word)),
            Self::Glob(globs) => globs.matches(model) || globs.matches(undated(model)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_cover_what_the_documentation_says() {
        for (entry, covered, not_covered) in [
            (
                "claude-sonnet-4-5",
                &[
                    "claude-sonnet-4-5",
                    "claude-sonnet-4-5-20250929",
                    "Claude-Sonnet-4-5-latest",
                ][..],
                &[
                    "claude-sonnet-4",
                    "claude-sonnet-4-5-fast",
                    "claude-sonnet-5",
                    "",
                ][..],
            ),
            (
                "claude-sonnet-4-5-20250929",
                &["claude-sonnet-4-5-20250929"],
                &["claude-sonnet-4-5", "claude-sonnet-4-5-20260101"],
            ),
            (
                "opus",
                &["claude-opus-4-1", "claude-3-opus-20240229", "claude-OPUS-5"],
                &["claude-opusculum-1", "claude-sonnet-5"],
            ),
            (
                "claude-{opus,sonnet}-4*",
                &["claude-opus-4", "claude-sonnet-4-5-20250929"],
                &["claude-opus-5", "claude-haiku-4-5"],
            ),
            (
                "*-5",
                &["claude-opus-5", "claude-opus-5-20260101"],
                &["claude-opus-4"],
            ),
            ("all", &["x", ""], &[]),
            ("*", &["x"], &[]),
        ] {
            let object = json!({"models": [entry]});
            let mut faults = Vec::new();
            let mut reader = Reader::new("$", &object, &mut faults);
            let set = ModelSet::read(&mut reader, "models").unwrap();
            assert!(faults.is_empty(), "{faults:?}");
            for model in covered {
                assert!(set.covers(model), "{entry} covers {model}");
            }
            for model in not_covered {
                assert!(!set.covers(model), "{entry} doesn't cover {model}");
            }
        }
    }
}
