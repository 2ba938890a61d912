//! An answer as a stream of events.
//!
//! The figures of `message_start` are overwritten by those of each `message_delta`. Where the last ones
//! never come, output is at least what was seen of it makes, by the constants below. They fit recorded answers whose figures
//! are known: 16 % off on average, 2 % below in all. Thinking that isn't shown can't be estimated.

use std::time::Duration;

use domain::UsageQuality;

use super::calls::{BlockKind, Calls};
use super::fields::{Fields, Kind};
use super::find::Finder;
use super::shape::EVENT;
use super::sse::{Events, Piece, Word};
use super::tally::Tally;
use super::{ApiError, Reading};

/// Of text, thinking, and the input of tools.
const CHARS_PER_TOKEN: u64 = 4;
/// Of each block of content, for what frames it.
const TOKENS_PER_BLOCK: u64 = 6;
/// Of each call of a tool, for its name and the form of its input.
const TOKENS_PER_TOOL_CALL: u64 = 40;

/// The reader of one.
#[derive(Debug)]
pub(super) struct StreamedAnswer {
    events: Events,
    finder: Finder,
    /// Of the event that is coming in.
    fields: Fields,
    progress: Progress,
    tally: Tally,
    model: Option<String>,
    /// The model that took over.
    fallback_model: Option<String>,
    stop_reason: Option<String>,
    blocks: u64,
    tool_calls: u64,
    calls: Calls,
    text_chars: u64,
    first_content_at: Option<Duration>,
    error: Option<ApiError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No message yet.
    Waiting,
    Started,
    /// The message's figures were updated: if it ends now, they are the final ones.
    Updated,
    Stopped(UsageQuality),
}

impl Default for StreamedAnswer {
    fn default() -> Self {
        Self {
            events: Events::default(),
            finder: Finder::new(EVENT),
            fields: Fields::default(),
            progress: Progress::Waiting,
            tally: Tally::default(),
            model: None,
            fallback_model: None,
            stop_reason: None,
            blocks: 0,
            tool_calls: 0,
            calls: Calls::default(),
            text_chars: 0,
            first_content_at: None,
            error: None,
        }
    }
}

impl StreamedAnswer {
    pub(super) fn read(&mut self, mut bytes: &[u8], at: Duration) {
        while !self.is_complete()
            && let Some(piece) = self.events.next(&mut bytes)
        {
            match piece {
                Piece::Data(data) => self.finder.feed(data, &mut self.fields),
                Piece::End(name) => self.take_event(name, at),
            }
        }
    }

    /// Whether some of what the caller reads has come.
    pub(super) fn has_content(&self) -> bool {
        self.first_content_at.is_some()
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.progress, Progress::Stopped(_))
    }

    fn take_event(&mut self, name: Word, at: Duration) {
        self.finder.restart();
        let fields = std::mem::take(&mut self.fields);
        match fields.kind.or_else(|| name.get().map(Kind::named)) {
            Some(Kind::MessageStart) => self.start(fields),
            Some(Kind::ContentBlockStart) => self.start_block(fields, at),
            Some(Kind::ContentBlockDelta) => {
                self.first_content_at.get_or_insert(at);
                self.text_chars += fields.text_chars;
                self.calls.take_input(fields.text_bytes);
            }
            Some(Kind::MessageDelta) => self.update(fields),
            Some(Kind::MessageStop) => self.stop(),
            Some(Kind::Error) => self.fail(fields),
            Some(
                Kind::Message | Kind::Session | Kind::Dream | Kind::SessionUsage | Kind::Other,
            )
            | None => {}
        }
    }

    fn start(&mut self, fields: Fields) {
        self.tally = Tally::default();
        self.tally.lay(fields.usage);
        self.model = fields.model;
        self.progress = Progress::Started;
    }

    fn start_block(&mut self, fields: Fields, at: Duration) {
        self.first_content_at.get_or_insert(at);
        self.blocks += 1;
        let block = fields.block;
        self.tool_calls += u64::from(block.kind.is_call());
        if block.kind == BlockKind::Fallback && block.fallback_model.is_some() {
            self.fallback_model.clone_from(&block.fallback_model);
        }
        self.calls.take_block(block);
    }

    fn update(&mut self, fields: Fields) {
        if fields.stop_reason.is_some() {
            self.stop_reason = fields.stop_reason;
        }
        if self.tally.lay(fields.usage) {
            self.progress = Progress::Updated;
        }
    }

    fn stop(&mut self) {
        self.progress = Progress::Stopped(match self.progress {
            Progress::Updated => self.tally.quality(),
            Progress::Waiting | Progress::Started | Progress::Stopped(_) => UsageQuality::Estimated,
        });
    }

    /// An error in place of a message consumed nothing; one in the middle leaves the figures open.
    fn fail(&mut self, fields: Fields) {
        self.error = Some(fields.error);
        self.progress = Progress::Stopped(match self.progress {
            Progress::Waiting => UsageQuality::Exact,
            Progress::Started | Progress::Updated | Progress::Stopped(_) => UsageQuality::Estimated,
        });
    }

    /// Output tokens, by what was seen of them.
    fn estimate(&self) -> u64 {
        self.text_chars.div_ceil(CHARS_PER_TOKEN)
            + self.blocks * TOKENS_PER_BLOCK
            + self.tool_calls * TOKENS_PER_TOOL_CALL
    }

    pub(super) fn finish(mut self) -> Reading {
        let quality = match self.progress {
            Progress::Stopped(quality) => quality,
            Progress::Waiting | Progress::Started | Progress::Updated => UsageQuality::Estimated,
        };
        if quality == UsageQuality::Estimated {
            self.tally.output_at_least(self.estimate());
        }
        let (calls, more_calls) = std::mem::take(&mut self.calls).finish();
        let turn_model = self.tally.fallback_model().map(str::to_owned);
        Reading {
            complete: self.is_complete(),
            model: self.fallback_model.or(turn_model).or(self.model),
            usage: self.tally.into_usage(),
            quality,
            stop_reason: self.stop_reason,
            has_content: self.blocks > 0,
            calls,
            more_calls,
            first_content_at: self.first_content_at,
            error: self.error,
        }
    }
}
