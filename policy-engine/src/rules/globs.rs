//! Sets of globs over names: `*`, `?`, `[ab]`, `{a,b}`. A `/` is a character as any other.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Faults;
use super::reader::Item;

/// The longest glob, in bytes.
const MOST_BYTES: usize = 256;

/// Names that one of some globs covers.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    everything: bool,
    /// What names begin with, of globs that are a word with `*` behind it, as most are.
    beginnings: Vec<Box<str>>,
    /// The others.
    set: GlobSet,
}

impl Globs {
    /// From a list of strings; those that hold no wildcard cover themselves.
    pub(crate) fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        let globs = item.list(faults, read_glob)?;
        Self::of(item, &globs, faults)
    }

    /// Of globs that are fine one by one.
    pub(crate) fn of(item: &Item<'_>, globs: &[String], faults: &mut Faults) -> Option<Self> {
        let mut builder = GlobSetBuilder::new();
        let mut beginnings = Vec::new();
        for glob in globs {
            if let Some(beginning) = beginning(glob) {
                beginnings.push(beginning.into());
            } else if let Ok(glob) = compile(glob) {
                builder.add(glob);
            }
        }
        let Ok(set) = builder.build() else {
            return item.fault(faults, "is too much for one set of globs");
        };
        let everything = globs
            .iter()
            .any(|glob| glob.trim_start_matches('*').is_empty());
        Some(Self {
            everything,
            beginnings,
            set,
        })
    }

    pub(crate) fn covers(&self, name: &str) -> bool {
        self.covers_beginning(name) || !self.set.is_empty() && self.set.is_match(name)
    }

    /// Whether it covers a name by how that begins, and so every longer one.
    pub(crate) fn covers_beginning(&self, name: &str) -> bool {
        let mut beginnings = self.beginnings.iter();
        self.everything || beginnings.any(|beginning| name.starts_with(&**beginning))
    }

    /// Whether there is nothing it covers.
    pub(crate) fn is_empty(&self) -> bool {
        self.beginnings.is_empty() && self.set.is_empty()
    }

    /// Whether there is nothing it wouldn't cover.
    pub(crate) fn is_everything(&self) -> bool {
        self.everything
    }
}

/// A glob that can be compiled.
pub(crate) fn read_glob(item: &Item<'_>, faults: &mut Faults) -> Option<String> {
    let glob = item.text(faults)?;
    if glob.len() > MOST_BYTES {
        return item.fault(faults, format!("must have no more than {MOST_BYTES} bytes"));
    }
    match compile(glob) {
        Ok(_) => Some(glob.to_owned()),
        Err(error) => item.fault(faults, format!("is no glob: {}", error.kind())),
    }
}

/// What a name has to begin with, if that is all a glob asks for.
fn beginning(glob: &str) -> Option<&str> {
    let word = glob.strip_suffix('*')?;
    let is_word = !word.contains(['*', '?', '[', ']', '{', '}', '\\']);
    is_word.then_some(word)
}

fn compile(glob: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(false).build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn globs(list: &Value) -> (Option<Globs>, Faults) {
        let mut faults = Faults::new();
        let globs = Globs::read(&Item::new("$.list", list), &mut faults);
        (globs, faults)
    }

    #[test]
    fn globs_cover_whole_names() {
        for (list, name, expected) in [
            (json!(["delete_*"]), "delete_file", true),
            (json!(["delete_*"]), "undelete_file", false),
            (json!(["github/*"]), "github/a/b", true),
            (json!(["*"]), "", true),
            (json!(["a?c"]), "a/c", true),
            (json!(["x", "{a,b}[0-9]"]), "b7", true),
            (json!(["*.md"]), "a/.md", true),
            (json!(["exact"]), "Exact", false),
            (json!([]), "exact", false),
        ] {
            let covers = globs(&list).0.unwrap().covers(name);
            assert_eq!(covers, expected, "{list} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_word_with_a_star_is_what_a_name_begins_with(word in "[a-c./!,^\\n-]{0,3}", name in "[a-c./!,^\\n-]{0,6}") {
            let glob = format!("{word}*");
            prop_assert_eq!(beginning(&glob), Some(word.as_str()));
            let expected = compile(&glob).unwrap().compile_matcher().is_match(&name);
            prop_assert_eq!(globs(&json!([glob])).0.unwrap().covers(&name), expected);
        }
    }

    #[test]
    fn what_is_no_glob_is_a_fault() {
        for (list, expected) in [
            (
                json!(["ok", "[a"]),
                "$.list[1]: is no glob: unclosed character class; missing ']'",
            ),
            (
                json!(["{a"]),
                "$.list[0]: is no glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
            ),
            (
                json!(["x".repeat(257)]),
                "$.list[0]: must have no more than 256 bytes",
            ),
            (json!("*"), "$.list: must be a list"),
        ] {
            let faults = globs(&list).1;
            assert_eq!(faults.len(), 1, "{list}");
            assert_eq!(faults[0].to_string(), expected);
        }
    }
}
