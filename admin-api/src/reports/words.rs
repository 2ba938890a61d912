//! A query as the Claude Admin API has it: lists are names that come again, with brackets behind them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;

use uuid::Uuid;

use crate::error::{ApiError, Result};

/// More than any list has; what stands in them becomes a condition.
const MOST_ITEMS: usize = 100;

pub(super) const AN_ID: &str = "an id of ours, which is a UUID";

/// What may be another one for each page.
const OF_A_PAGE: [&str; 3] = ["page", "limit", "beta"];

/// The pairs that nobody has asked for yet.
pub(super) struct Words {
    pairs: Vec<(String, String)>,
    shape: u64,
}

impl Words {
    pub(super) fn read(query: &str) -> Result<Self> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let pairs: Vec<_> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        match pairs.iter().find(|(_, value)| value.contains('\0')) {
            Some((name, _)) => Err(ApiError::invalid(
                name.replace('\0', "\\u0000"),
                "has a character that no value has: %00",
            )),
            None => Ok(Self {
                shape: shape(&pairs),
                pairs,
            }),
        }
    }

    /// The same for all pages of a report, and for no other report but by chance.
    pub(super) fn shape(&self) -> u64 {
        self.shape
    }

    /// A value that is given once at most.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>> {
        let mut values = self.take(|given| given == name);
        if values.len() > 1 {
            return Err(ApiError::invalid(name, "is given more than once"));
        }
        Ok(values.pop())
    }

    /// The same, of a kind.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>> {
        let value = self.one(name)?;
        value.map(|value| parse(name, &value, what)).transpose()
    }

    /// The values of a list, with brackets or without.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<String>> {
        let values = self.take(|given| given.strip_suffix("[]").unwrap_or(given) == name);
        if values.len() > MOST_ITEMS {
            let message = format!(
                "has {} entries; {MOST_ITEMS} are allowed at most",
                values.len()
            );
            return Err(ApiError::invalid(name, message));
        }
        Ok(values)
    }

    /// The same, of a kind.
    pub(super) fn parsed_list<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Vec<T>> {
        let values = self.list(name)?;
        let parsed = values
            .iter()
            .enumerate()
            .map(|(index, value)| parse(&format!("{name}[{index}]"), value, what));
        parsed.collect()
    }

    /// The same, of ids; none, if there is none.
    pub(super) fn ids(&mut self, name: &str) -> Result<Option<Vec<Uuid>>> {
        let ids = self.parsed_list(name, AN_ID)?;
        Ok((!ids.is_empty()).then_some(ids))
    }

    /// The same, of words that there are.
    pub(super) fn known_list(&mut self, name: &str, known: &[&str]) -> Result<Vec<String>> {
        let values = self.list(name)?;
        for (index, value) in values.iter().enumerate() {
            crate::check::one_of(&format!("{name}[{index}]"), value, known)?;
        }
        Ok(values)
    }

    /// Refuses what nobody asked for: it was meant to change the answer.
    pub(super) fn end(self) -> Result<()> {
        match self.pairs.first() {
            Some((name, _)) => Err(ApiError::invalid(name, "there is no such parameter")),
            None => Ok(()),
        }
    }

    fn take(&mut self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let taken = self.pairs.extract_if(.., |(name, _)| is_meant(name));
        taken.map(|(_, value)| value).collect()
    }
}

/// Of all that is given, in whatever order.
fn shape(pairs: &[(String, String)]) -> u64 {
    let named = |(name, value): &(String, String)| {
        let name = name.strip_suffix("[]").unwrap_or(name);
        (!OF_A_PAGE.contains(&name)).then(|| (name.to_owned(), value.clone()))
    };
    let mut pairs: Vec<_> = pairs.iter().filter_map(named).collect();
    pairs.sort_unstable();
    let mut hasher = DefaultHasher::new();
    pairs.hash(&mut hasher);
    hasher.finish()
}

fn parse<T: FromStr>(path: &str, value: &str, what: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| ApiError::invalid(path, format!("must be {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> Words {
        Words::read(query).unwrap()
    }

    #[test]
    fn lists_come_with_brackets_encoded_or_not_or_without() {
        let mut words = words("models[]=a&models%5B%5D=b%20c&models=d&limit=3");
        assert_eq!(words.list("models").unwrap(), ["a", "b c", "d"]);
        assert_eq!(words.parsed::<u16>("limit", "a number").unwrap(), Some(3));
        words.end().unwrap();
    }

    #[test]
    fn what_can_not_be_is_refused() {
        assert!(Words::read("models[]=%00").is_err());
        assert!(words("limit=1&limit=2").one("limit").is_err());
        assert!(words("limit=x").parsed::<u16>("limit", "a number").is_err());
        assert!(words("a[]=x").known_list("a", &["y"]).is_err());
        assert!(words("a=1").end().is_err());
        assert!(words(&"a[]=1&".repeat(101)).list("a").is_err());
    }
}
