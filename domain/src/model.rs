//! Model names as metric labels.
//!
//! A label must come from a bounded set, while a model's name comes from the caller. Names of this list
//! label themselves, their dated ids with them; every other name is `other`.

const KNOWN: &[&str] = &[
    "claude-3-5-haiku",
    "claude-3-5-sonnet",
    "claude-3-7-sonnet",
    "claude-3-haiku",
    "claude-3-opus",
    "claude-3-sonnet",
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-mythos-5",
    "claude-mythos-5-1",
    "claude-mythos-5-2",
    "claude-opus-4",
    "claude-opus-4-1",
    "claude-opus-4-5",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-4",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
];

/// The label of models outside the list.
pub const OTHER: &str = "other";

/// Every label there can be, [`OTHER`] last.
pub fn labels() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().copied().chain([OTHER])
}

/// The label of a model: its name without the date.
#[must_use]
pub fn label(model: &str) -> &'static str {
    KNOWN.get(label_index(model)).copied().unwrap_or(OTHER)
}

/// Where in [`labels`] a model's label is.
#[must_use]
pub fn label_index(model: &str) -> usize {
    KNOWN.binary_search(&undated(model)).unwrap_or(KNOWN.len())
}

/// A model's name without its date or alias: `claude-sonnet-4-5-20250929` is a snapshot of `claude-sonnet-4-5`.
#[must_use]
pub fn undated(model: &str) -> &str {
    match model.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => name,
        Some((name, "latest" | "0")) => name,
        _ => model,
    }
}

/// How much of a model's name is kept, in characters: what its column holds. Names come from callers, and no model has a longer one.
pub const MOST_CHARS: usize = 255;

/// As much of a name as is kept.
#[must_use]
pub fn kept(model: &str) -> &str {
    let end = model.char_indices().nth(MOST_CHARS);
    end.and_then(|(end, _)| model.get(..end)).unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_so_that_it_can_be_searched() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn of_a_long_name_so_much_is_kept_as_a_row_holds() {
        let long = "ä".repeat(MOST_CHARS + 1);
        assert_eq!(kept(&long).chars().count(), MOST_CHARS);
        assert_eq!(kept("claude-opus-5"), "claude-opus-5");
    }

    #[test]
    fn dated_ids_and_aliases_share_a_label() {
        for (model, expected) in [
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5", "claude-sonnet-4-5"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
            ("claude-opus-4-20250514", "claude-opus-4"),
            ("gpt-4", OTHER),
            ("", OTHER),
        ] {
            assert_eq!(label(model), expected, "{model}");
        }
    }
}
