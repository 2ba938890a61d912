//! The meter: what an answer of the Claude API consumed, read from the bytes as they pass.
//!
//! Guarantees: bytes may be cut anywhere and the reading is the same; memory is bounded whatever passes;
//! nothing is ever changed, delayed or refused. A stream is read as server-sent events, everything else as
//! JSON; a compressed answer is decoded into a copy, and of a damaged one it depends on the cuts how much is
//! read before the damage shows. What can't be read is metered as [`UsageQuality`] says, never guessed in silence. It knows no prices: `usage.raw` keeps what pricing needs beyond the
//! counters (`iterations`, `speed`, `inference_geo`).
//!
//! The quality of a reading:
//! - an answer with its final figures is exact, partial if some figure made no sense;
//! - a complete answer that consumes nothing is exactly zero: an error envelope, a JSON value that is not
//!   a message (a file, a token count, a session), or a body that is not JSON at all, such as a proxy's
//!   HTML page;
//! - a message that broke off before its figures is estimated: a stream from the input that
//!   `message_start` named and the text that passed, JSON at zero.

mod calls;
mod fields;
mod find;
mod finding;
mod json;
mod kept;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod length;
mod quote;
mod results;
mod shape;
mod sse;
mod stream;
mod tally;
mod totals;

use std::time::Duration;

use domain::{Usage, UsageQuality};

pub(crate) use self::calls::Call;
#[cfg(test)]
pub(crate) use self::calls::CallResult;
pub(crate) use self::finding::{Finding, FoundIn};
use self::json::JsonAnswer;
use self::results::BatchResults;
use self::stream::StreamedAnswer;
use self::totals::Totals;
use crate::coding::Decoder;

/// What was read of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// The model that answered.
    pub(crate) model: Option<String>,
    /// What it says was consumed.
    pub(crate) usage: Usage,
    /// How far to trust it.
    pub(crate) quality: UsageQuality,
    /// Why the model stopped.
    pub(crate) stop_reason: Option<String>,
    /// Whether the message had any content.
    pub(crate) has_content: bool,
    /// The MCP tools it calls.
    pub(crate) calls: Vec<Call>,
    /// How many more of those there are than are kept.
    pub(crate) more_calls: u64,
    /// When a stream's first content passed, since the request began.
    pub(crate) first_content_at: Option<Duration>,
    /// The error it reports: an envelope, or an event in the middle of a stream.
    pub(crate) error: Option<ApiError>,
    /// Whether the bytes made a complete answer. Never true of a body that isn't JSON or SSE: its end
    /// can't be seen in its bytes.
    pub(crate) complete: bool,
}

/// An error as the API words it, each part of bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// `error.type`
    pub(crate) kind: Option<String>,
    /// `error.details.error_code`
    pub(crate) code: Option<String>,
    /// `error.message`
    pub(crate) message: Option<String>,
}

/// Reads one answer.
pub(crate) struct Meter {
    input: Input,
    answer: Answer,
}

/// What stands between the bytes and the reader.
enum Input {
    /// No coding was declared and no byte has been seen.
    Undeclared,
    Decoding(Decoder),
    /// Nothing more can be understood: an unknown coding or damaged data.
    Blind,
}

enum Answer {
    Json(Box<JsonAnswer>),
    Stream(Box<StreamedAnswer>),
    Results(Box<BatchResults>),
    /// Something that was made: only its id is read.
    Object(Box<JsonAnswer>),
    Totals(Box<Totals>),
}

impl Meter {
    /// A meter for an answer with these headers.
    pub(crate) fn new(content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        let input = match Decoder::new(content_encoding.unwrap_or_default()) {
            Ok(decoder) if decoder.is_identity() => Input::Undeclared,
            Ok(decoder) => Input::Decoding(decoder),
            Err(_unsupported) => Input::Blind,
        };
        let answer = if content_type.is_some_and(is_event_stream) {
            Answer::Stream(Box::default())
        } else {
            Answer::Json(Box::default())
        };
        Self { input, answer }
    }

    /// A meter for the results of a batch.
    pub(crate) fn of_batch_results(content_encoding: Option<&str>) -> Self {
        Self {
            answer: Answer::Results(Box::default()),
            ..Self::new(None, content_encoding)
        }
    }

    /// A meter for an object that a request has made, which consumes nothing.
    pub(crate) fn of_object(content_encoding: Option<&str>) -> Self {
        Self {
            answer: Answer::Object(Box::new(JsonAnswer::of_object())),
            ..Self::new(None, content_encoding)
        }
    }

    /// A meter for sessions and dreams, or for the events of the session with this id.
    pub(crate) fn of_totals(
        session_id: Option<String>,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
    ) -> Self {
        let is_stream = content_type.is_some_and(is_event_stream);
        Self {
            answer: Answer::Totals(Box::new(Totals::new(session_id, is_stream))),
            ..Self::new(None, content_encoding)
        }
    }

    /// The id of an object that was made, once the answer is all there.
    pub(crate) fn object_id(&mut self) -> Option<String> {
        match &mut self.answer {
            Answer::Object(answer) => answer.object_id(),
            Answer::Totals(totals) => totals.object_id(),
            Answer::Json(_) | Answer::Stream(_) | Answer::Results(_) => None,
        }
    }

    /// What is metered by itself and has come in since the last time; with `at_end`, what the last bytes left open too.
    pub(crate) fn take_findings(&mut self, at_end: bool) -> Vec<Finding> {
        match &mut self.answer {
            Answer::Results(results) => {
                if at_end {
                    results.end_line();
                }
                results.take()
            }
            Answer::Totals(totals) => totals.take(),
            Answer::Json(_) | Answer::Stream(_) | Answer::Object(_) => Vec::new(),
        }
    }

    /// Whether it matters when the next bytes come.
    pub(crate) fn asks_when(&self) -> bool {
        match &self.answer {
            Answer::Stream(answer) => !answer.has_content(),
            Answer::Json(_) | Answer::Object(_) | Answer::Results(_) | Answer::Totals(_) => false,
        }
    }

    /// Shows the next bytes, cut anywhere; `at` is the time since the request began, if that is asked for.
    pub(crate) fn observe(&mut self, bytes: &[u8], at: Duration) {
        let Some(first) = bytes.first() else { return };
        if self.is_complete() {
            return;
        }
        if matches!(self.input, Input::Undeclared) {
            self.input = Decoder::sniff(*first).map_or(Input::Blind, Input::Decoding);
        }
        if let Input::Decoding(decoder) = &mut self.input {
            let read = decoder.feed(bytes, &mut |piece| {
                self.answer.read(piece, at);
                Ok(())
            });
            if read.is_err() {
                self.input = Input::Blind;
            }
        }
    }

    /// Whether the bytes seen complete the answer: the JSON value is closed, or the event `message_stop`
    /// or `error` with its blank line has passed.
    ///
    /// A blank line of CR LF counts from its CR, since a CR alone ends a line too.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.answer {
            Answer::Json(answer) => answer.is_complete(),
            Answer::Stream(answer) => answer.is_complete(),
            // Another line may always follow; and of an object nobody waits for the end.
            Answer::Results(_) | Answer::Object(_) | Answer::Totals(_) => false,
        }
    }

    /// What was read, at the end of the answer or where it broke off; nothing of what is metered by itself.
    pub(crate) fn finish(self) -> Option<Reading> {
        let reading = match self.answer {
            Answer::Json(answer) => answer.finish(),
            Answer::Stream(answer) => answer.finish(),
            Answer::Results(_) | Answer::Object(_) | Answer::Totals(_) => return None,
        };
        Some(match self.input {
            Input::Blind if !reading.complete => Reading {
                quality: UsageQuality::Estimated,
                ..reading
            },
            Input::Blind | Input::Undeclared | Input::Decoding(_) => reading,
        })
    }
}

impl Reading {
    /// Whether the model refused before it put anything out: the API reports what that consumed, and doesn't bill it.
    pub(crate) fn is_refused_before_output(&self) -> bool {
        is_refused_before_output(self.stop_reason.as_deref(), self.has_content)
    }
}

fn is_refused_before_output(stop_reason: Option<&str>, has_content: bool) -> bool {
    stop_reason == Some("refusal") && !has_content
}

impl Answer {
    fn read(&mut self, bytes: &[u8], at: Duration) {
        match self {
            Self::Json(answer) => answer.read(bytes),
            Self::Stream(answer) => answer.read(bytes, at),
            Self::Results(results) => results.read(bytes),
            Self::Object(answer) => answer.read(bytes),
            Self::Totals(totals) => totals.read(bytes),
        }
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/event-stream")
}

#[cfg(test)]
mod tests;
