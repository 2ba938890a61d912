//! What came back from somebody who was asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// What takes longer counts as this long, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// All of a turn.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// In nanoseconds: to the end of the answer.
    pub(super) took: Histogram<u64>,
    /// To the first piece of its body.
    pub(super) first: Histogram<u64>,
    pub(super) answers: u64,
    /// No answer, or none that says what it should.
    pub(super) bad: u64,
    /// What the first of them was.
    pub(super) complaint: Option<String>,
    pub(super) during: Duration,
}

/// Where all connections write down what they hear: histograms of thousands of them would take more memory than there is.
#[derive(Debug, Clone)]
pub(super) struct Heard(Arc<Mutex<Told>>);

impl Default for Heard {
    fn default() -> Self {
        let histogram =
            || Histogram::new_with_max(LONGEST, 3).expect("three digits are a valid precision");
        Self(Arc::new(Mutex::new(Told {
            took: histogram(),
            first: histogram(),
            answers: 0,
            bad: 0,
            complaint: None,
            during: Duration::ZERO,
        })))
    }
}

impl Heard {
    pub(super) fn answer(&self, took: Duration, first: Duration) {
        self.write(|told| {
            told.answers += 1;
            told.took.saturating_record(nanoseconds(took));
            told.first.saturating_record(nanoseconds(first));
        });
    }

    pub(super) fn complaint(&self, complaint: String) {
        self.write(|told| {
            told.bad += 1;
            told.complaint.get_or_insert(complaint);
        });
    }

    pub(super) fn told(&self, during: Duration) -> Told {
        self.write(|told| {
            told.during = during;
            told.clone()
        })
    }

    fn write<T>(&self, what: impl FnOnce(&mut Told) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
