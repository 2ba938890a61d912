//! Secrets that organizations have put here for their MCP servers: variables, and files.
//!
//! An organization's are its own by their place, so that no name reaches another's, or what the gateway itself is told: of `acme`,
//! `MINDWEAVE_SECRET_ACME__NAME` and `<mcp.secrets_dir>/acme/NAME`. The file is stronger, and read each time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use admin_api::SecretStore;

use crate::config::SECRET_PREFIX;

const MOST_BYTES: u64 = 64 << 10;

/// All of them.
pub(super) struct Secrets {
    /// By the variable's name.
    variables: BTreeMap<String, String>,
    dir: Option<PathBuf>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    pub(super) fn new(environment: &BTreeMap<String, String>, dir: Option<PathBuf>) -> Self {
        let ours = |(name, _): &(&String, &String)| name.starts_with(SECRET_PREFIX);
        let variables = environment.iter().filter(ours);
        Self {
            variables: variables
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            dir,
        }
    }

    fn variable(&self, org_slug: &str, name: &str) -> Option<&String> {
        // Where it ends would be unclear: `a--b` and `NAME` could be `a` and `B__NAME`.
        if org_slug.contains("--") {
            return None;
        }
        let org = org_slug.to_ascii_uppercase().replace('-', "_");
        self.variables.get(&format!("{SECRET_PREFIX}{org}__{name}"))
    }
}

impl SecretStore for Secrets {
    fn get(&self, org_slug: &str, name: &str) -> Option<String> {
        let is_slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if org_slug.is_empty()
            || !org_slug.bytes().all(is_slug)
            || !name.bytes().all(is_name)
            || name.contains("__")
        {
            return None;
        }
        let file = self.dir.as_ref();
        let of_file = file.and_then(|dir| read(&dir.join(org_slug).join(name)));
        of_file.or_else(|| self.variable(org_slug, name).cloned())
    }
}

/// A file's text without the white space around it.
fn read(path: &Path) -> Option<String> {
    // Anything else may never end.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_its_own_secrets_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        for org in ["acme", "other"] {
            std::fs::create_dir(dir.path().join(org)).unwrap();
        }
        std::fs::write(dir.path().join("acme/FILE"), " of a file\n").unwrap();
        std::fs::write(dir.path().join("acme/BOTH"), "the file").unwrap();
        std::fs::write(dir.path().join("other/THEIRS"), "theirs").unwrap();
        std::fs::write(dir.path().join("TOP"), "top").unwrap();
        let environment = [
            ("MINDWEAVE_SECRET_ACME__TOKEN", "of a variable"),
            ("MINDWEAVE_SECRET_ACME__BOTH", "the variable"),
            ("MINDWEAVE_SECRET_ACME_EU__TOKEN", "of acme-eu"),
            ("MINDWEAVE_SECRET_A__B__TOKEN", "unclear"),
            ("MINDWEAVE_DATABASE_URL", "the gateway's"),
            ("ANTHROPIC_API_KEY", "the gateway's"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secrets = Secrets::new(&environment.into(), Some(dir.path().to_owned()));
        for (org, name, expected) in [
            ("acme", "TOKEN", Some("of a variable")),
            ("acme", "FILE", Some("of a file")),
            ("acme", "BOTH", Some("the file")),
            ("acme-eu", "TOKEN", Some("of acme-eu")),
            ("acme", "EU__TOKEN", None),
            ("acme", "THEIRS", None),
            ("acme", "../other/THEIRS", None),
            ("..", "TOP", None),
            ("", "TOP", None),
            ("a", "B__TOKEN", None),
            ("a--b", "TOKEN", None),
            ("acme", "DATABASE_URL", None),
            ("acme", "ANTHROPIC_API_KEY", None),
        ] {
            assert_eq!(secrets.get(org, name).as_deref(), expected, "{org} {name}");
        }
        let shown = format!("{secrets:?}");
        assert!(!shown.contains("of a variable"), "{shown}");
    }
}
