//! Which models an entry of a policy means.
//!
//! Names have no case. A name covers itself and its dated ids and aliases, a dated id or an alias itself alone, a single word its
//! family, a glob what it matches with or without the date.

use domain::model::undated;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::Faults;
use super::globs::{Globs, read_glob};
use super::reader::Item;

/// Models named by a list.
#[derive(Debug, Clone)]
pub(crate) struct ModelSet {
    everything: bool,
    names: FxHashSet<Box<str>>,
    dated: FxHashSet<Box<str>>,
    words: Vec<Box<str>>,
    globs: Option<Globs>,
}

impl ModelSet {
    pub(crate) fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        let entries = item.list(faults, |item, faults| {
            let entry = item.text(faults)?.to_lowercase();
            let fine = !is_glob(&entry) || read_glob(item, faults).is_some();
            fine.then_some(entry)
        })?;
        let (globs, names): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| is_glob(e));
        let mut set = Self {
            everything: globs.iter().any(|glob| glob == "*"),
            names: FxHashSet::default(),
            dated: FxHashSet::default(),
            words: Vec::new(),
            globs: None,
        };
        if !globs.is_empty() {
            set.globs = Some(Globs::of(item, &globs, faults)?);
        }
        names.into_iter().for_each(|name| set.add(name));
        Some(set)
    }

    fn add(&mut self, name: String) {
        if name == "all" {
            self.everything = true;
        } else if undated(&name) != name {
            self.dated.insert(name.into());
        } else if name.contains('-') {
            self.names.insert(name.into());
        } else {
            self.words.push(name.into());
        }
    }

    /// Whether there is no model it wouldn't cover.
    pub(crate) fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether there is no model it would cover.
    pub(crate) fn is_nothing(&self) -> bool {
        let has_names = !self.names.is_empty() || !self.dated.is_empty() || !self.words.is_empty();
        !self.everything && !has_names && self.globs.is_none()
    }

    pub(crate) fn covers(&self, model: &str) -> bool {
        let begins = |globs: &Globs| globs.covers_beginning(model);
        if self.everything || self.globs.as_ref().is_some_and(begins) {
            return true;
        }
        let plain = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
        if model.bytes().all(plain) {
            return self.covers_lower_case(model);
        }
        let mut lower: SmallVec<[u8; 128]> = SmallVec::new();
        for character in model.chars().flat_map(char::to_lowercase) {
            lower.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        str::from_utf8(&lower).is_ok_and(|lower| self.covers_lower_case(lower))
    }

    fn covers_lower_case(&self, model: &str) -> bool {
        let name = undated(model);
        let is_dated = name.len() != model.len();
        let glob = |globs: &Globs| globs.covers(model) || is_dated && globs.covers(name);
        self.names.contains(model)
            || is_dated && self.names.contains(name)
            || self.dated.contains(model)
            || self.words.iter().any(|word| has_word(model, word))
            || self.globs.as_ref().is_some_and(glob)
    }
}

fn is_glob(entry: &str) -> bool {
    entry.contains(['*', '?', '[', '{'])
}

/// `claude-opus-4-5` is of the words `claude`, `opus`, `4` and `5`.
fn has_word(model: &str, word: &str) -> bool {
    let between = |character: char| !character.is_alphanumeric();
    model == word || model.split(between).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn set(list: &Value) -> ModelSet {
        let mut faults = Faults::new();
        let set = ModelSet::read(&Item::new("$.models", list), &mut faults);
        assert_eq!(faults, [], "{list}");
        set.unwrap()
    }

    #[test]
    fn an_entry_covers_what_it_names() {
        for (entry, model, expected) in [
            ("claude-sonnet-4-5", "claude-sonnet-4-5", true),
            ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", true),
            ("claude-sonnet-4-5", "claude-sonnet-4-5-latest", true),
            ("claude-sonnet-4-5", "claude-sonnet-4-50", false),
            ("claude-sonnet-4", "claude-sonnet-4-5", false),
            ("claude-sonnet-4-5", "claude-sonnet-4-5-fast", false),
            ("claude-opus-4", "claude-opus-4-0", true),
            (
                "claude-sonnet-4-5-20250929",
                "claude-sonnet-4-5-20250929",
                true,
            ),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", false),
            (
                "claude-sonnet-4-5-20250929",
                "claude-sonnet-4-5-20251001",
                false,
            ),
            ("claude-opus-4-0", "claude-opus-4", false),
            ("opus", "claude-opus-4-5", true),
            ("opus", "claude-3-opus-20240229", true),
            ("opus", "claude-opusculum-1", false),
            ("opus", "opus", true),
            ("opus", "anthropic.claude-opus@1", true),
            ("claude", "claude-haiku-4-5", true),
            ("claude-*", "claude-haiku-4-5", true),
            ("claude-*", "gpt-claude-4", false),
            ("*-4-5", "claude-sonnet-4-5-20250929", true),
            ("*-4-5", "claude-sonnet-4-5", true),
            ("claude-{opus,sonnet}-4*", "claude-sonnet-4-5", true),
            ("claude-{opus,sonnet}-4*", "claude-haiku-4-5", false),
            ("claude-?pus-[45]", "claude-opus-5", true),
            ("Claude-Opus-4", "claude-opus-4", true),
            ("claude-opus-4", "CLAUDE-Opus-4-20250514", true),
            ("OPUS", "claude-Opus-4", true),
            ("CLAUDE-*", "Claude-x", true),
            ("straße", "claude-STRASSE", false),
            ("é", "claude-É-1", true),
            ("all", "anything", true),
            ("*", "", true),
            ("opus", "", false),
        ] {
            let covers = set(&json!([entry])).covers(model);
            assert_eq!(covers, expected, "{entry} {model}");
        }
    }

    #[test]
    fn a_list_covers_what_any_of_its_entries_does() {
        let set_of_two = set(&json!(["haiku", "claude-opus-4"]));
        assert!(set_of_two.covers("claude-haiku-4-5"));
        assert!(set_of_two.covers("claude-opus-4"));
        assert!(!set_of_two.covers("claude-sonnet-4"));
        assert!(!set(&json!([])).covers("claude-opus-4"));
    }

    #[test]
    fn a_list_of_something_else_is_a_fault() {
        for (list, path) in [
            (json!("opus"), "$.models"),
            (json!(["opus", 4]), "$.models[1]"),
            (json!([""]), "$.models[0]"),
            (json!(["claude-[", "haiku"]), "$.models[0]"),
        ] {
            let mut faults = Faults::new();
            ModelSet::read(&Item::new("$.models", &list), &mut faults);
            assert_eq!(faults.len(), 1, "{list}");
            assert_eq!(faults[0].path, path);
        }
    }

    proptest! {
        #[test]
        fn an_entry_covers_itself_in_any_case(entry in "[a-z0-9.@-]{1,24}", model: String) {
            let set = set(&json!([entry]));
            prop_assert!(set.covers(&entry));
            prop_assert!(set.covers(&entry.to_uppercase()));
            set.covers(&model);
        }

        #[test]
        fn no_list_is_too_strange(entries in prop::collection::vec(any::<String>(), 0..4), model: String) {
            let list = json!(entries);
            let set = ModelSet::read(&Item::new("$", &list), &mut Faults::new());
            set.map(|set| set.covers(&model));
        }
    }
}
