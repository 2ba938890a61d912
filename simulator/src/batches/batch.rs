//! One batch: from `in_progress`, perhaps through `canceling`, to `ended`. Time is passed in.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;

use crate::api_error::ApiError;
use crate::response::timestamp;

const LIFETIME: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(super) struct Batch {
    id: String,
    created_at: SystemTime,
    ends: Ends,
    progress: Progress,
    cancel_initiated_at: Option<SystemTime>,
    items: Vec<Item>,
}

/// An item that has been answered.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) custom_id: String,
    pub(super) outcome: Outcome,
    /// The item's line of the results, with its line feed.
    pub(super) line: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Errored,
    Canceled,
}

/// When a batch ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    /// On the second retrieval; when it is being canceled, on the first.
    OnRetrieval {
        first_has_passed: bool,
    },
    At(SystemTime),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Running,
    Canceling,
    Ended { at: SystemTime },
}

#[derive(Debug, Serialize)]
pub(super) struct BatchInfo {
    pub(super) id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    processing_status: &'static str,
    request_counts: Counts,
    ended_at: Option<String>,
    created_at: String,
    expires_at: String,
    archived_at: Option<String>,
    cancel_initiated_at: Option<String>,
    results_url: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    processing: usize,
    succeeded: usize,
    errored: usize,
    canceled: usize,
    expired: usize,
}

impl Batch {
    pub(super) fn new(id: String, now: SystemTime, ends: Ends, items: Vec<Item>) -> Self {
        Self {
            id,
            created_at: now,
            ends,
            progress: Progress::Running,
            cancel_initiated_at: None,
            items,
        }
    }

    pub(super) fn result_bytes(&self) -> usize {
        self.items.iter().map(|item| item.line.len()).sum()
    }

    /// Ends the batch if its time has come.
    pub(super) fn catch_up(&mut self, now: SystemTime) {
        if let Ends::At(end) = self.ends
            && end <= now
        {
            self.end(end);
        }
    }

    /// Notes that the batch was looked at, which is what makes most batches end.
    pub(super) fn retrieve(&mut self, now: SystemTime) {
        if let Ends::OnRetrieval { first_has_passed } = &mut self.ends {
            if *first_has_passed || self.progress == Progress::Canceling {
                self.end(now);
            } else {
                *first_has_passed = true;
            }
        }
    }

    /// Cancels every item: none counts as processed before the batch has ended.
    pub(super) fn cancel(&mut self, now: SystemTime) -> Result<(), ApiError> {
        match self.progress {
            Progress::Running => {}
            Progress::Canceling => return Ok(()),
            Progress::Ended { .. } => {
                return Err(ApiError::invalid(format!(
                    "Batch {} cannot be canceled because it has already ended.",
                    self.id
                )));
            }
        }
        self.progress = Progress::Canceling;
        self.cancel_initiated_at = Some(now);
        for item in &mut self.items {
            *item = Item::canceled(std::mem::take(&mut item.custom_id));
        }
        Ok(())
    }

    pub(super) fn check_deletable(&self) -> Result<(), ApiError> {
        match self.progress {
            Progress::Ended { .. } => Ok(()),
            Progress::Running | Progress::Canceling => Err(ApiError::invalid(format!(
                "Batch {} cannot be deleted while it is still processing.",
                self.id
            ))),
        }
    }

    /// The results, one line an item.
    pub(super) fn results(&self) -> Result<Bytes, ApiError> {
        match self.progress {
            Progress::Ended { .. } => {
                let lines = self.items.iter().map(|item| item.line.as_str());
                Ok(lines.collect::<String>().into())
            }
            Progress::Running | Progress::Canceling => Err(ApiError::not_found(format!(
                "Batch {} has no available results.",
                self.id
            ))),
        }
    }

    pub(super) fn info(&self, origin: &str) -> BatchInfo {
        let (processing_status, ended_at) = match self.progress {
            Progress::Running => ("in_progress", None),
            Progress::Canceling => ("canceling", None),
            Progress::Ended { at } => ("ended", Some(at)),
        };
        BatchInfo {
            id: self.id.clone(),
            kind: "message_batch",
            processing_status,
            request_counts: self.counts(),
            ended_at: ended_at.map(timestamp),
            created_at: timestamp(self.created_at),
            expires_at: timestamp(
                self.created_at
                    .checked_add(LIFETIME)
                    .unwrap_or(self.created_at),
            ),
            archived_at: None,
            cancel_initiated_at: self.cancel_initiated_at.map(timestamp),
            results_url: ended_at
                .map(|_| format!("{origin}/v1/messages/batches/{}/results", self.id)),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for item in &self.items {
            let count = match (self.progress, item.outcome) {
                (Progress::Running | Progress::Canceling, _) => &mut counts.processing,
                (Progress::Ended { .. }, Outcome::Succeeded) => &mut counts.succeeded,
                (Progress::Ended { .. }, Outcome::Errored) => &mut counts.errored,
                (Progress::Ended { .. }, Outcome::Canceled) => &mut counts.canceled,
            };
            *count += 1;
        }
        counts
    }

    fn end(&mut self, at: SystemTime) {
        if !matches!(self.progress, Progress::Ended { .. }) {
            self.progress = Progress::Ended { at };
        }
    }
}

impl Item {
    /// `custom_id` needs no escaping: only letters, digits, `_` and `-` were let in.
    fn canceled(custom_id: String) -> Self {
        let line =
            format!("{{\"custom_id\":\"{custom_id}\",\"result\":{{\"type\":\"canceled\"}}}}\n");
        Self {
            custom_id,
            outcome: Outcome::Canceled,
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Duration, Ends, Item, Outcome, SystemTime};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn batch(ends: Ends) -> Batch {
        let item = |id: &str, outcome| Item {
            custom_id: id.to_owned(),
            outcome,
            line: format!("{id}\n"),
        };
        let items = vec![item("a", Outcome::Succeeded), item("b", Outcome::Errored)];
        Batch::new("msgbatch_1".to_owned(), NOW, ends, items)
    }

    fn state(batch: &Batch) -> (&'static str, [usize; 4], bool) {
        let info = batch.info("http://host");
        let counts = info.request_counts;
        (
            info.processing_status,
            [
                counts.processing,
                counts.succeeded,
                counts.errored,
                counts.canceled,
            ],
            info.results_url.is_some(),
        )
    }

    const RUNNING: (&str, [usize; 4], bool) = ("in_progress", [2, 0, 0, 0], false);
    const ENDED: (&str, [usize; 4], bool) = ("ended", [0, 1, 1, 0], true);

    #[test]
    fn the_second_retrieval_ends_a_batch() {
        let mut batch = batch(Ends::OnRetrieval {
            first_has_passed: false,
        });
        assert_eq!(state(&batch), RUNNING);
        assert!(batch.results().is_err() && batch.check_deletable().is_err());
        batch.retrieve(NOW);
        assert_eq!(state(&batch), RUNNING);
        batch.retrieve(NOW);
        assert_eq!(state(&batch), ENDED);
        assert_eq!(batch.results().unwrap(), "a\nb\n");
        assert!(batch.cancel(NOW).is_err() && batch.check_deletable().is_ok());
    }

    #[test]
    fn a_delay_ends_a_batch_in_its_own_time() {
        let end = NOW + Duration::from_secs(1);
        let mut batch = batch(Ends::At(end));
        for _ in 0..3 {
            batch.catch_up(NOW);
            batch.retrieve(NOW);
        }
        assert_eq!(state(&batch), RUNNING);
        batch.catch_up(end);
        assert_eq!(state(&batch), ENDED);
    }

    #[test]
    fn a_canceled_batch_ends_on_the_next_retrieval() {
        let mut batch = batch(Ends::OnRetrieval {
            first_has_passed: false,
        });
        batch.cancel(NOW).unwrap();
        assert_eq!(state(&batch), ("canceling", [2, 0, 0, 0], false));
        batch.retrieve(NOW);
        assert_eq!(state(&batch), ("ended", [0, 0, 0, 2], true));
        let first = "{\"custom_id\":\"a\",\"result\":{\"type\":\"canceled\"}}\n";
        assert!(batch.results().unwrap().starts_with(first.as_bytes()));
    }
}
