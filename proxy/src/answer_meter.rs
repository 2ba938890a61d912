//! The meter for whoever has an answer's bytes and no request: what metering costs is measured through it.

use std::fmt;
use std::time::Duration;

use domain::{Usage, UsageQuality};

use crate::meter::Meter;

/// Reads what one answer consumed from its bytes, as it is read on their way to a caller.
pub struct AnswerMeter(Meter);

impl AnswerMeter {
    /// A meter for an answer with these headers.
    #[must_use]
    pub fn new(content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        Self(Meter::new(content_type, content_encoding))
    }

    /// Shows the next bytes, cut anywhere; `at` is the time since the request began.
    pub fn observe(&mut self, bytes: &[u8], at: Duration) {
        self.0.observe(bytes, at);
    }

    /// Whether the bytes seen complete the answer.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// What was consumed, and how far to trust it.
    #[must_use]
    pub fn finish(self) -> Option<(Usage, UsageQuality)> {
        let reading = self.0.finish()?;
        Some((reading.usage, reading.quality))
    }
}

/// Nothing of an answer is for a log.
impl fmt::Debug for AnswerMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerMeter").finish_non_exhaustive()
    }
}
