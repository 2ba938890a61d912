//! Sets of globs.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Globs of which one has to match.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    set: GlobSet,
}

/// Longer ones would take too much memory.
const LONGEST: usize = 256;

impl Globs {
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.set.is_match(text)
    }

    /// From globs that have been checked, each for itself.
    pub(crate) fn new(globs: Vec<globset::Glob>) -> Self {
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            builder.add(glob);
        }
        // What is good one by one may be too large together: then nothing matches, which a check by the caller prevents.
        let set = builder.build().unwrap_or_else(|_| GlobSet::empty());
        Self { set }
    }
}

/// Reads one glob; upper and lower case are one.
pub(crate) fn glob(text: &str) -> Result<globset::Glob, String> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("must have 1 to {LONGEST} characters"));
    }
    let glob = GlobBuilder::new(text).case_insensitive(true).build();
    glob.map_err(|error| format!("is no glob: {}", error.kind()))
}
