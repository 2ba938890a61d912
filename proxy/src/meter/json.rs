//! An answer in one piece of JSON.

use domain::{Usage, UsageQuality};

use super::Reading;
use super::fields::{Fields, Figures, Kind};
use super::find::Finder;
use super::shape::{ANSWER, OBJECT};
use super::tally::Tally;

/// The reader of one.
#[derive(Debug)]
pub(super) struct JsonAnswer {
    finder: Finder,
    fields: Fields,
}

impl Default for JsonAnswer {
    fn default() -> Self {
        Self {
            finder: Finder::new(ANSWER),
            fields: Fields::default(),
        }
    }
}

impl JsonAnswer {
    /// A reader that wants an object's id and nothing else.
    pub(super) fn of_object() -> Self {
        Self {
            finder: Finder::new(OBJECT),
            fields: Fields::default(),
        }
    }

    /// The object's id, once it is all there.
    pub(super) fn object_id(&mut self) -> Option<String> {
        self.is_complete()
            .then(|| self.fields.object_id.take())
            .flatten()
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.finder.feed(bytes, &mut self.fields);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.finder.is_ended()
    }

    pub(super) fn finish(mut self) -> Reading {
        let complete = self.finder.is_ended();
        let is_error = is_error(&self.fields);
        let has_content = self.fields.blocks > 0;
        let (calls, more_calls) = std::mem::take(&mut self.fields.calls).finish();
        let (usage, quality) = match self.consumption() {
            Consumption::Nothing => (Usage::default(), UsageQuality::Exact),
            Consumption::Unknown => (Usage::default(), UsageQuality::Estimated),
            Consumption::Figures => tallied(self.fields.usage),
        };
        Reading {
            model: self.fields.model,
            usage,
            quality,
            stop_reason: self.fields.stop_reason,
            has_content,
            calls,
            more_calls,
            first_content_at: None,
            error: is_error.then_some(self.fields.error),
            complete,
        }
    }

    /// Only a message consumes something, or what doesn't say what it is but has figures. Other objects
    /// have a `usage` too: a session's is a running total, metered elsewhere.
    fn consumption(&self) -> Consumption {
        let fields = &self.fields;
        let (complete, lost) = (self.finder.is_ended(), self.finder.is_lost());
        match (fields.kind, &fields.usage) {
            _ if is_error(fields) => Consumption::Nothing,
            (None | Some(Kind::Message), Figures::Object(_) | Figures::Unreadable) => {
                Consumption::Figures
            }
            (Some(Kind::Message), Figures::None) => Consumption::Unknown,
            (None, Figures::None) if !complete && !lost => Consumption::Unknown,
            _ => Consumption::Nothing,
        }
    }
}

enum Consumption {
    Nothing,
    Unknown,
    Figures,
}

pub(super) fn tallied(figures: Figures) -> (Usage, UsageQuality) {
    let mut tally = Tally::default();
    tally.lay(figures);
    let quality = tally.quality();
    (tally.into_usage(), quality)
}

/// `{"type":"error",...}`, or the envelope of somebody who left the type out.
fn is_error(fields: &Fields) -> bool {
    match fields.kind {
        Some(kind) => kind == Kind::Error,
        None => fields.error.kind.is_some() || fields.error.message.is_some(),
    }
}
