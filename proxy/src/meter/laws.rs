//! What must hold of every reading, whatever the bytes: it doesn't depend on where they are cut, nothing in it is larger
//! than it may be, and where the answer is JSON it says what `serde_json` says.

mod framing;
mod values;

use std::fmt::Debug;
use std::time::Duration;

use super::json::JsonAnswer;
use super::results::BatchResults;
use super::tally::MOST_MEMBERS;
use super::totals::Totals;
use super::{Call, Finding, FoundIn, Meter, Reading};
use crate::coding::Decoder;
use crate::fuzz::cuts;

/// Of a name, an id or a reason, in bytes.
const MOST_OF_A_NAME: usize = 256;
/// Of an error's message, in bytes.
const MOST_OF_A_MESSAGE: usize = 1024;
const MOST_CALLS: usize = 256;

/// An answer as a stream of events.
pub(crate) fn check_stream(body: &[u8], sizes: &[u8]) {
    check_reading("text/event-stream", body, sizes);
    framing::check(body, sizes);
}

/// An answer in one piece of JSON.
pub(crate) fn check_json(body: &[u8], sizes: &[u8]) {
    let reading = check_reading("application/json", body, sizes);
    values::check_answer(body, &reading);
}

/// An object that was made.
pub(crate) fn check_object(body: &[u8], sizes: &[u8]) {
    let [id, others @ ..] = cuts(body, sizes).map(|pieces| {
        let mut answer = JsonAnswer::of_object();
        pieces.iter().for_each(|piece| answer.read(piece));
        answer.object_id()
    });
    check_alike(&id, &others);
    values::check_object(body, id.as_deref());
}

/// The results of a batch, each line of which is read for itself.
pub(crate) fn check_batch_results(body: &[u8], sizes: &[u8]) {
    let [results, others @ ..] = cuts(body, sizes).map(|pieces| results_of(&pieces));
    check_alike(&results, &others);
    let lines = body.split(|byte| *byte == b'\n');
    let of_lines: Vec<_> = lines
        .flat_map(|line| {
            let results = results_of(&[line]);
            values::check_line(line, &results);
            results
        })
        .collect();
    check_alike(&results, &[of_lines]);
    check_findings(&results);
}

/// Sessions, dreams and their events, in JSON or as a stream.
pub(crate) fn check_totals(body: &[u8], sizes: &[u8]) {
    for is_stream in [false, true] {
        let [totals, others @ ..] = cuts(body, sizes).map(|pieces| {
            let mut totals = Totals::new(Some("sesn_1".to_owned()), is_stream);
            let mut found = Vec::new();
            for piece in pieces {
                totals.read(piece);
                found.extend(totals.take());
            }
            (found, totals.object_id())
        });
        check_alike(&totals, &others);
        check_findings(&totals.0);
    }
}

fn check_findings(findings: &[Finding]) {
    for finding in findings {
        match &finding.of {
            FoundIn::BatchItem(custom_id) => check_name(Some(custom_id)),
            FoundIn::Total(total) => {
                check_name(Some(&total.id));
                check_name(Some(&total.shown_by));
            }
        }
        check_name(finding.model.as_ref());
        check_calls(&finding.calls);
        assert!(finding.usage.raw.len() <= MOST_MEMBERS);
    }
}

fn results_of(pieces: &[&[u8]]) -> Vec<Finding> {
    let mut results = BatchResults::default();
    pieces.iter().for_each(|piece| results.read(piece));
    results.end_line();
    results.take()
}

fn check_reading(content_type: &str, body: &[u8], sizes: &[u8]) -> Reading {
    let [reading, others @ ..] = cuts(body, sizes).map(|pieces| read(content_type, &pieces));
    // Of damaged data it depends on the cuts how much comes out before the damage shows.
    if is_sound(body) {
        check_alike(&reading, &others);
    }
    for reading in others.iter().chain([&reading]) {
        check_bounds(reading);
    }
    reading
}

#[expect(clippy::expect_used, reason = "a meter of an answer has a reading")]
fn read(content_type: &str, pieces: &[&[u8]]) -> Reading {
    let mut meter = Meter::new(Some(content_type), None);
    for piece in pieces {
        meter.observe(piece, Duration::ZERO);
    }
    let is_complete = meter.is_complete();
    let reading = meter.finish().expect("an answer's meter has a reading");
    assert_eq!(reading.complete, is_complete);
    reading
}

/// Whether the bytes follow the coding that the first of them announces.
fn is_sound(body: &[u8]) -> bool {
    body.first().is_none_or(|first| {
        Decoder::sniff(*first).is_ok_and(|mut decoder| decoder.feed(body, &mut |_| Ok(())).is_ok())
    })
}

fn check_alike<T: Debug + PartialEq>(whole: &T, others: &[T]) {
    for other in others {
        assert_eq!(other, whole, "cuts make a difference");
    }
}

fn check_bounds(reading: &Reading) {
    check_name(reading.model.as_ref());
    check_name(reading.stop_reason.as_ref());
    check_calls(&reading.calls);
    if let Some(error) = &reading.error {
        check_name(error.kind.as_ref());
        check_name(error.code.as_ref());
        let message = error.message.as_ref();
        assert!(message.is_none_or(|message| message.len() <= MOST_OF_A_MESSAGE));
    }
    let (tokens, raw) = (reading.usage.tokens, &reading.usage.raw);
    assert!(tokens.cache_write_1h <= tokens.cache_write, "{tokens:?}");
    assert!(raw.len() <= MOST_MEMBERS, "{} members", raw.len());
    let tree = raw.clone().into_tree();
    assert!(tree.values().all(|value| !value.is_null()));
}

fn check_name(name: Option<&String>) {
    assert!(name.is_none_or(|name| name.len() <= MOST_OF_A_NAME));
}

fn check_calls(calls: &[Call]) {
    assert!(calls.len() <= MOST_CALLS, "{} calls", calls.len());
    for call in calls {
        check_name(Some(&call.id));
        check_name(Some(&call.name));
        check_name(call.server_name.as_ref());
    }
}
