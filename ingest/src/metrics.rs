//! The metrics of the event's way. Handles are registered once and bumped from then on.
//!
//! The books: `admitted = closed + in flight` and `closed = stored + dead-lettered + in memory`.

use domain::pricing::Unpriced;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// What a lane counts.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    pub(crate) admitted: Counter,
    pub(crate) closed: Counter,
}

impl std::fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneMetrics").finish_non_exhaustive()
    }
}

impl LaneMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(
            "mindweave_events_admitted_total",
            "Requests admitted, each of which owes one usage event"
        );
        describe_counter!(
            "mindweave_events_closed_total",
            "Admitted requests that have ended"
        );
        Self {
            admitted: counter!("mindweave_events_admitted_total"),
            closed: counter!("mindweave_events_closed_total"),
        }
    }
}

/// What a writer counts.
pub(crate) struct WriterMetrics {
    pub(crate) stored: Counter,
    pub(crate) batch_rows: Histogram,
    pub(crate) copy_seconds: Histogram,
    pub(crate) database_up: Gauge,
}

impl WriterMetrics {
    /// Of what only a writer prices; it is rare.
    pub(crate) fn unpriced(reason: Unpriced) {
        counter!("mindweave_unpriced_events_total", "reason" => reason.as_str()).increment(1);
    }

    pub(crate) fn register() -> Self {
        describe_counter!(
            "mindweave_events_stored_total",
            "Usage events committed to the database"
        );
        describe_counter!(
            "mindweave_events_dead_letter_total",
            "Usage events the database refused, kept aside"
        );
        describe_histogram!("mindweave_copy_batch_rows", "Rows of one COPY");
        describe_histogram!(
            "mindweave_copy_duration_seconds",
            "Time of one COPY with its commit"
        );
        describe_gauge!(
            "mindweave_db_up",
            "1 if the last contact with the database succeeded"
        );
        counter!("mindweave_events_dead_letter_total").absolute(0);
        Self {
            stored: counter!("mindweave_events_stored_total"),
            batch_rows: histogram!("mindweave_copy_batch_rows"),
            copy_seconds: histogram!("mindweave_copy_duration_seconds"),
            database_up: gauge!("mindweave_db_up"),
        }
    }
}
