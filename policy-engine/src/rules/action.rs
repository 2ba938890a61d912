//! What becomes of a request that an access, compliance or custom policy objects to.

use super::Faults;
use super::reader::Item;

/// The effect of an objection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Action {
    /// Refused.
    #[default]
    Block,
    /// Passes, with a warning to the caller.
    Warn,
    /// Passes, with a line in the log.
    Log,
}

impl Action {
    pub(crate) fn read(item: &Item<'_>, faults: &mut Faults) -> Option<Self> {
        match item.value.as_str() {
            Some("block") => Some(Self::Block),
            Some("warn") => Some(Self::Warn),
            Some("log") => Some(Self::Log),
            _ => item.fault(faults, "must be block, warn or log"),
        }
    }

    /// As policies name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Warn => "warn",
            Self::Log => "log",
        }
    }
}
