//! What is read of JSON, against what `serde_json` makes of the same bytes.
//!
//! Where it makes nothing of them nothing is compared: the reader is no validator. Objects that repeat a key are
//! compared as far as both let the last one win.

use domain::{Usage, UsageQuality};
use serde_json::{Map, Value};

use super::MOST_OF_A_NAME;
use crate::meter::tally::MOST_MEMBERS;
use crate::meter::{Finding, FoundIn, Reading};

/// No larger value is kept, and what isn't kept can't be compared.
const MOST_KEPT: usize = 64 * 1024;
/// Of a counter.
const MOST: u64 = i32::MAX as u64;

/// An answer in one piece.
pub(super) fn check_answer(body: &[u8], reading: &Reading) {
    let Some(answer) = object(body) else { return };
    assert!(reading.complete, "a whole object is a complete answer");
    assert_eq!(reading.model, name(answer.get("model")));
    assert_eq!(reading.stop_reason, name(answer.get("stop_reason")));
    let contents = answer.get("content").and_then(Value::as_array);
    if contents.is_some_and(|contents| contents.iter().any(Value::is_object)) {
        assert!(reading.has_content);
    }
    match answer.get("type").and_then(Value::as_str) {
        Some("message") => check_message(&answer, reading),
        None if reading.error.is_none() => check_message(&answer, reading),
        kind => {
            assert_eq!(reading.usage, Usage::default(), "of {kind:?}");
            assert_eq!(reading.quality, UsageQuality::Exact, "of {kind:?}");
            assert_eq!(
                reading.error.is_some(),
                matches!(kind, Some("error") | None)
            );
        }
    }
}

/// An object that was made.
pub(super) fn check_object(body: &[u8], id: Option<&str>) {
    if let Some(object) = object(body) {
        assert_eq!(id, name(object.get("id")).as_deref());
    }
}

/// A line of a batch's results.
pub(super) fn check_line(line: &[u8], results: &[Finding]) {
    let Some(line) = object(line) else { return };
    let is_success = line
        .get("result")
        .is_some_and(|result| result.get("type").is_some_and(|kind| kind == "succeeded"));
    let Some(custom_id) = name(line.get("custom_id")).filter(|_| is_success) else {
        return;
    };
    let found: Vec<_> = results.iter().map(|result| &result.of).collect();
    assert_eq!(found, [&FoundIn::BatchItem(custom_id)]);
}

fn check_message(answer: &Map<String, Value>, reading: &Reading) {
    let usage = match answer.get("usage") {
        None | Some(Value::Null) => {
            assert_eq!(reading.usage, Usage::default());
            return;
        }
        Some(Value::Object(usage)) if usage.len() <= MOST_MEMBERS => usage,
        Some(_unreadable) => {
            assert_ne!(reading.quality, UsageQuality::Exact);
            return;
        }
    };
    let mut named = usage.clone();
    named.retain(|_, value| !value.is_null());
    assert_eq!(reading.usage.raw.clone().into_tree(), named);
    let [input, output] = ["input_tokens", "output_tokens"].map(|key| count(usage, key));
    if input.is_none() || output.is_none() {
        assert_eq!(reading.quality, UsageQuality::Partial);
    }
    if !named.contains_key("iterations") {
        let tokens = reading.usage.tokens;
        assert_eq!(tokens.input, input.unwrap_or_default());
        assert_eq!(tokens.output, output.unwrap_or_default());
        assert_eq!(
            tokens.cache_read,
            count(usage, "cache_read_input_tokens").unwrap_or_default()
        );
    }
}

fn object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(json)
        .ok()
        .filter(|_| json.len() <= MOST_KEPT)
}

/// A counter, if it makes sense.
fn count(usage: &Map<String, Value>, key: &str) -> Option<u64> {
    usage.get(key)?.as_u64().filter(|count| *count <= MOST)
}

/// As much of a name as is kept.
fn name(value: Option<&Value>) -> Option<String> {
    let name = value?.as_str()?;
    name.get(..name.floor_char_boundary(MOST_OF_A_NAME))
        .map(str::to_owned)
}
