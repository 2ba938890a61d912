//! The metrics of the event's way. Handles are registered once and bumped from then on.
//!
//! The books: `admitted = closed + in flight`, `closed = given back + spooled + on the way to the spool`, and what was in the spool
//! at the start and came since is stored, dead-lettered or still in it.

use std::time::Duration;

use domain::Timestamp;
use domain::pricing::Unpriced;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::spool::SpoolError;
use crate::streams::Streams;

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

/// What writers count.
#[derive(Clone)]
pub(crate) struct WriterMetrics {
    stored: Counter,
    dead_letters: Counter,
    missing: Counter,
    batch_rows: Histogram,
    copy_seconds: Histogram,
    database_up: Gauge,
}

impl std::fmt::Debug for WriterMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterMetrics").finish_non_exhaustive()
    }
}

impl WriterMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(
            "mindweave_events_stored_total",
            "Usage events committed to the database"
        );
        describe_counter!(
            "mindweave_events_dead_letter_total",
            "Usage events the database refused, kept aside"
        );
        describe_counter!(
            "mindweave_events_missing_total",
            "Usage events that a database which went back in time lacks, and that are not on disk any more"
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
        Self {
            stored: counter!("mindweave_events_stored_total"),
            dead_letters: counter!("mindweave_events_dead_letter_total"),
            missing: counter!("mindweave_events_missing_total"),
            batch_rows: histogram!("mindweave_copy_batch_rows"),
            copy_seconds: histogram!("mindweave_copy_duration_seconds"),
            database_up: gauge!("mindweave_db_up"),
        }
    }

    /// Of what only a writer prices; it is rare.
    pub(crate) fn unpriced(reason: Unpriced) {
        counter!("mindweave_unpriced_events_total", "reason" => reason.as_str()).increment(1);
    }

    pub(crate) fn stored(&self, rows: usize, took: Duration) {
        self.database_is_up(true);
        self.stored.increment(rows as u64);
        self.batch_rows.record(float(rows as u64));
        self.copy_seconds.record(took.as_secs_f64());
    }

    /// Events turned out to be stored already.
    pub(crate) fn found_stored(&self, events: u64) {
        self.stored.increment(events);
    }

    pub(crate) fn dead_lettered(&self) {
        self.dead_letters.increment(1);
    }

    pub(crate) fn missing(&self, events: u64) {
        self.missing.increment(events);
    }

    pub(crate) fn database_is_up(&self, up: bool) {
        self.database_up.set(f64::from(u8::from(up)));
    }
}

/// What the flusher shows of the spool.
pub(crate) struct SpoolMetrics {
    spooled: Counter,
    append_seconds: Histogram,
    bytes: Gauge,
    events: Gauge,
    given_up: Gauge,
    lag: Gauge,
}

impl SpoolMetrics {
    pub(crate) fn register() -> Self {
        describe_counter!(
            "mindweave_events_spooled_total",
            "Usage events that are durable on disk"
        );
        describe_counter!(
            "mindweave_events_recovered_total",
            "Requests that an earlier process had admitted and not brought to an end; each is an event"
        );
        describe_counter!(
            "mindweave_spool_errors_total",
            "Failures of the spool, by what failed"
        );
        describe_histogram!(
            "mindweave_spool_append_seconds",
            "Time to make a group of events durable"
        );
        describe_gauge!(
            "mindweave_spool_bytes",
            "What the spool takes on disk, stored events that are still kept included"
        );
        describe_gauge!(
            "mindweave_spool_events",
            "Usage events that are on disk and not in the database"
        );
        describe_gauge!(
            "mindweave_spool_given_up_segments",
            "Files of the spool that were left because a write or a sync failed: look at the disk"
        );
        describe_gauge!(
            "mindweave_spool_lag_seconds",
            "Age of the oldest usage event that is on disk and not in the database"
        );
        counter!("mindweave_events_recovered_total").absolute(0);
        Self {
            spooled: counter!("mindweave_events_spooled_total"),
            append_seconds: histogram!("mindweave_spool_append_seconds"),
            bytes: gauge!("mindweave_spool_bytes"),
            events: gauge!("mindweave_spool_events"),
            given_up: gauge!("mindweave_spool_given_up_segments"),
            lag: gauge!("mindweave_spool_lag_seconds"),
        }
    }

    pub(crate) fn recovered(events: usize) {
        counter!("mindweave_events_recovered_total").increment(events as u64);
    }

    pub(crate) fn appended(&self, events: usize, took: Duration) {
        self.spooled.increment(events as u64);
        self.append_seconds.record(took.as_secs_f64());
    }

    /// Rare: looked up by what failed.
    pub(crate) fn failed(error: &SpoolError) {
        counter!("mindweave_spool_errors_total", "kind" => error.kind()).increment(1);
    }

    pub(crate) fn show(&self, streams: &Streams, now: Timestamp) {
        self.bytes.set(float(streams.bytes_on_disk()));
        self.events.set(float(streams.unstored()));
        self.given_up.set(float(streams.given_up()));
        let age = streams
            .oldest_unstored()
            .map_or(0, |oldest| now.unix_micros.saturating_sub(oldest).max(0));
        self.lag.set(float(age.unsigned_abs()) / 1e6);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the last digits of a metric don't matter"
)]
fn float(value: u64) -> f64 {
    value as f64
}
