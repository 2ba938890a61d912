//! What an answer shows that is metered by itself, and not as the answer's own.

use domain::{RunningTotal, Usage, UsageQuality};

use super::calls::Call;

/// Something that was consumed elsewhere, and that may be shown again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) of: FoundIn,
    /// The model that worked, where it is named.
    pub(crate) model: Option<String>,
    pub(crate) usage: Usage,
    pub(crate) quality: UsageQuality,
    pub(crate) calls: Vec<Call>,
    pub(crate) more_calls: u64,
    /// The model refused before it put anything out.
    pub(crate) is_refused_before_output: bool,
}

/// What it was found in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FoundIn {
    /// The result of this item, by its `custom_id`, of the batch whose results the answer is.
    BatchItem(String),
    /// A session or dream.
    Total(RunningTotal),
}
