//! Whether who is refused is told so as the API tells it.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use crate::offered::{Outcome, Told};

/// Those who were told no, by status and type of error; and who was told something else.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pub(super) by_kind: BTreeMap<String, usize>,
    pub(super) strange: usize,
    /// What the first of them was.
    pub(super) example: String,
}

impl Refusals {
    pub(super) fn of(told: &Told) -> Self {
        let mut refusals = Self::default();
        for answer in &told.answers {
            match &answer.outcome {
                Outcome::Whole => {}
                Outcome::Refused(status, body) => match kind(*status, body) {
                    Some(kind) => *refusals.by_kind.entry(kind).or_default() += 1,
                    None => refusals.note(&format!("{status}: {}", String::from_utf8_lossy(body))),
                },
                Outcome::Broken(why) => refusals.note(why),
            }
        }
        refusals
    }

    fn note(&mut self, what: &str) {
        self.strange += 1;
        if self.example.is_empty() {
            self.example = format!(": {what}");
        }
    }

    pub(super) fn count(&self) -> usize {
        self.by_kind.values().sum()
    }
}

/// Status and type, if they belong together and the body is the API's envelope.
fn kind(status: StatusCode, body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let kind = body["error"]["type"].as_str()?;
    let has_shape = body["type"] == "error"
        && body["error"]["message"].is_string()
        && body["request_id"].is_string();
    let fits = matches!(
        (status.as_u16(), kind),
        (429, "rate_limit_error") | (503 | 529, "overloaded_error")
    );
    (has_shape && fits).then(|| format!("{} {kind}", status.as_u16()))
}
