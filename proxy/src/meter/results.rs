//! The results of a message batch: a JSON object a line, of which those that succeeded hold a message with its usage.

use super::fields::Fields;
use super::find::Finder;
use super::finding::{Finding, FoundIn};
use super::is_refused_before_output;
use super::json::tallied;
use super::shape::BATCH_RESULT;

/// The service tier of everything in a batch, where a line leaves it out.
const BATCH: &str = "batch";

/// The reader of one batch's results.
#[derive(Debug)]
pub(super) struct BatchResults {
    finder: Finder,
    fields: Fields,
    read: Vec<Finding>,
}

impl Default for BatchResults {
    fn default() -> Self {
        Self {
            finder: Finder::new(BATCH_RESULT),
            fields: Fields::default(),
            read: Vec::new(),
        }
    }
}

impl BatchResults {
    /// JSON has no raw line ends in its strings, so a line end always ends a line. What comes of the last line counts only
    /// with its end: a download that breaks off is repeated.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            self.finder.feed(line, &mut self.fields);
            self.end_line();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.finder.feed(bytes, &mut self.fields);
    }

    /// The results read since the last time.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.read)
    }

    /// At a line end, or at the end of the answer.
    pub(super) fn end_line(&mut self) {
        let whole = self.finder.is_ended();
        self.finder.restart();
        let fields = std::mem::take(&mut self.fields);
        if !whole || fields.result_type.as_deref() != Some("succeeded") {
            return;
        }
        let Some(custom_id) = fields.custom_id else {
            tracing::warn!("a result of a batch has no custom_id and can't be metered");
            return;
        };
        let is_refused_before_output =
            is_refused_before_output(fields.stop_reason.as_deref(), fields.blocks > 0);
        let (calls, more_calls) = fields.calls.finish();
        let (mut usage, quality) = tallied(fields.usage);
        usage.service_tier.get_or_insert_with(|| BATCH.to_owned());
        self.read.push(Finding {
            of: FoundIn::BatchItem(custom_id),
            model: fields.model,
            usage,
            quality,
            calls,
            more_calls,
            is_refused_before_output,
        });
    }
}
