//! `${secrets.NAME}`: stored as it stands, and put in place only for the moment in which it is used.

use serde_json::Value;

use super::SecretStore;

const BEGIN: &str = "${secrets.";
const LONGEST_NAME: usize = 64;
/// What is shorter can't be told from other text when answers are searched for it.
const SHORTEST: usize = 8;
const REDACTED: &str = "[secret]";

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Plain(&'a str),
    /// The name of a secret.
    Secret(&'a str),
}

/// What is wrong with a reference, or with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    #[error(
        "must refer to a secret as ${{secrets.NAME}}, NAME of A-Z, 0-9 and single _ in between"
    )]
    Malformed,
    #[error("there is no secret {0}")]
    Unknown(String),
    #[error("the secret {0} is shorter than {SHORTEST} characters")]
    TooShort(String),
}

/// Letters, digits and `_` in between: a name is part of a variable's, where `__` stands behind the organization.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.contains("__")
        && !name.starts_with('_')
        && !name.ends_with('_')
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, SecretError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once(BEGIN) {
        let (name, behind) = behind.split_once('}').ok_or(SecretError::Malformed)?;
        if !is_name(name) {
            return Err(SecretError::Malformed);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        pieces.push(Piece::Secret(name));
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    Ok(pieces)
}

/// Refuses references that are none.
pub(crate) fn check(text: &str) -> Result<(), SecretError> {
    pieces(text).map(drop)
}

/// Whether any text of a value may name one.
pub(crate) fn are_named_in(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(BEGIN),
        Value::Array(items) => items.iter().any(are_named_in),
        Value::Object(members) => members.values().any(are_named_in),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a text gives nothing away: a reference, perhaps behind a word such as `Bearer`.
pub(crate) fn is_reference(text: &str) -> bool {
    let is_scheme = |plain: &str| {
        plain.strip_suffix(' ').is_some_and(|word| {
            matches!(
                word.to_ascii_lowercase().as_str(),
                "bearer" | "basic" | "token"
            )
        })
    };
    match pieces(text).as_deref() {
        Ok([Piece::Secret(_)]) => true,
        Ok([Piece::Plain(plain), Piece::Secret(_)]) => is_scheme(plain),
        _ => false,
    }
}

/// Secrets that are in use, so that they can be kept out of what is stored.
#[derive(Default)]
pub(crate) struct Revealed(Vec<String>);

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Revealed({})", self.0.len())
    }
}

impl Revealed {
    /// A text with its secrets in place.
    pub(crate) fn resolve(
        &mut self,
        text: &str,
        org_slug: &str,
        store: &dyn SecretStore,
    ) -> Result<String, SecretError> {
        let mut resolved = String::new();
        for piece in pieces(text)? {
            match piece {
                Piece::Plain(plain) => resolved.push_str(plain),
                Piece::Secret(name) => {
                    let secret = store.get(org_slug, name);
                    let secret = secret.ok_or_else(|| SecretError::Unknown(name.to_owned()))?;
                    if secret.len() < SHORTEST {
                        return Err(SecretError::TooShort(name.to_owned()));
                    }
                    resolved.push_str(&secret);
                    self.hide(secret);
                }
            }
        }
        Ok(resolved)
    }

    /// Keeps a text out, whether it is a secret of the gateway's or one that somebody has pasted.
    pub(crate) fn hide(&mut self, text: String) {
        if text.len() >= SHORTEST && !self.0.contains(&text) {
            self.0.push(text);
            // A secret may be part of another: the longer first.
            self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        text
    }

    /// The same in all texts and names of a JSON value.
    pub(crate) fn redact_json(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.redact(&text)),
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.redact_json(item));
                Value::Array(items.collect())
            }
            Value::Object(members) => {
                let members = members.into_iter();
                let members =
                    members.map(|(name, value)| (self.redact(&name), self.redact_json(value)));
                Value::Object(members.collect())
            }
            Value::Number(number) => {
                let text = number.to_string();
                let is_secret = self.0.contains(&text);
                if is_secret {
                    Value::from(REDACTED)
                } else {
                    Value::Number(number)
                }
            }
            Value::Null | Value::Bool(_) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Store;

    impl SecretStore for Store {
        fn get(&self, org_slug: &str, name: &str) -> Option<String> {
            match (org_slug, name) {
                ("acme", "TOKEN") => Some("s3cr3t-t0ken".to_owned()),
                ("acme", "SHORT") => Some("abc".to_owned()),
                _ => None,
            }
        }
    }

    #[test]
    fn names_are_names_and_no_paths() {
        for (name, expected) in [
            ("TOKEN", true),
            ("A_1", true),
            ("", false),
            ("token", false),
            ("A__B", false),
            ("_A", false),
            ("A_", false),
            ("../A", false),
            ("A/B", false),
            ("A.B", false),
            ("Ä", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
        assert!(!is_name(&"A".repeat(65)));
    }

    #[test]
    fn a_reference_gives_nothing_away() {
        for (text, expected) in [
            ("${secrets.TOKEN}", true),
            ("Bearer ${secrets.TOKEN}", true),
            ("Bearer abc", false),
            ("abc ${secrets.TOKEN}", false),
            ("${secrets.TOKEN}x", false),
            ("${secrets.token}", false),
            ("", false),
        ] {
            assert_eq!(is_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn references_are_resolved_for_their_organization_alone() {
        let resolve = |text: &str, org: &str| Revealed::default().resolve(text, org, &Store);
        assert_eq!(
            resolve("Bearer ${secrets.TOKEN}!", "acme").as_deref(),
            Ok("Bearer s3cr3t-t0ken!")
        );
        assert_eq!(resolve("$5 ${HOME}", "acme").as_deref(), Ok("$5 ${HOME}"));
        let unknown = |name: &str| Err(SecretError::Unknown(name.to_owned()));
        assert_eq!(resolve("${secrets.TOKEN}", "other"), unknown("TOKEN"));
        assert_eq!(resolve("${secrets.NONE}", "acme"), unknown("NONE"));
        assert_eq!(
            resolve("${secrets.SHORT}", "acme"),
            Err(SecretError::TooShort("SHORT".to_owned()))
        );
        for text in [
            "${secrets.}",
            "${secrets.A",
            "${secrets.../A}",
            "${secrets.a}",
        ] {
            assert_eq!(resolve(text, "acme"), Err(SecretError::Malformed), "{text}");
        }
    }

    #[test]
    fn what_was_revealed_is_found_wherever_it_comes_back() {
        let mut revealed = Revealed::default();
        revealed
            .resolve("${secrets.TOKEN}", "acme", &Store)
            .unwrap();
        revealed.hide("12345678".to_owned());
        let value = json!({"a s3cr3t-t0ken": ["x s3cr3t-t0ken s3cr3t-t0ken", 12_345_678, 1, null]});
        assert_eq!(
            revealed.redact_json(value),
            json!({"a [secret]": ["x [secret] [secret]", "[secret]", 1, null]})
        );
    }
}
