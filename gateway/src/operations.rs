//! What operators see: metrics, health, readiness.

use std::sync::Arc;
use std::time::Duration;

use ingest::Room;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use proxy::{OpsSource, Spending};
use tokio_util::sync::CancellationToken;

use crate::settled::SettledState;
use crate::snapshot::{InForce, SnapshotState};

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Bounds in seconds: from what the gateway itself takes to the longest answers.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];
const ROWS: &[f64] = &[1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];

/// Makes the process' metrics go to a registry that can be scraped. To be called before any metric is registered.
pub(crate) fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), ROWS)?
        .install_recorder()
}

/// The source of the metrics listener.
pub(crate) struct Operations {
    pub(crate) registry: PrometheusHandle,
    pub(crate) snapshot: Arc<SnapshotState>,
    pub(crate) settled: Arc<SettledState>,
    pub(crate) room: Room,
    pub(crate) spending: Arc<Spending>,
    pub(crate) draining: CancellationToken,
}

impl Operations {
    pub(crate) fn describe() {
        describe_gauge!("mindweave_keys_loaded", "API keys in memory");
        describe_gauge!(
            "mindweave_policy_faults",
            "Policies and settings that can't be understood: the version before each stays in force"
        );
        gauge!("mindweave_policy_faults").set(0.0);
        describe_gauge!(
            "mindweave_snapshot_age_seconds",
            "Time since the keys in memory were last known to be those of the database"
        );
        describe_gauge!(
            "mindweave_snapshot_file_faulty",
            "1 while the snapshot on disk can't be written, else 0"
        );
        gauge!("mindweave_snapshot_file_faulty").set(0.0);
    }
}

impl OpsSource for Operations {
    fn metrics(&self) -> String {
        gauge!("mindweave_snapshot_age_seconds").set(self.snapshot.age().as_secs_f64());
        let mut text = self.registry.render();
        text.push_str(&self.spending.render());
        text
    }

    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.is_cancelled() {
            reasons.push("shutting down".to_owned());
        }
        if self.room.is_full() {
            reasons.push(
                "there is no room for more usage events, in memory or in the spool".to_owned(),
            );
        }
        if !self.snapshot.is_loaded() {
            reasons.push("the keys are not loaded yet: the database could not be read".to_owned());
        } else if !self.settled.is_known_or_delayed() {
            reasons.push("what was spent before is being summed up".to_owned());
        }
        reasons
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.snapshot.in_force() == InForce::FromDisk {
            let age = Duration::from_secs(self.snapshot.age().as_secs());
            let age = humantime::format_duration(age);
            notes.push(format!(
                "the database could not be read since the start: the keys are those of a snapshot from disk, {age} old"
            ));
        }
        if !self.settled.is_known() {
            notes.push(
                "what was spent before the start isn't known yet: budgets count from the start on"
                    .to_owned(),
            );
        }
        let faults = self.snapshot.policy_faults();
        if faults > 0 {
            notes.push(format!(
                "policies and settings that can't be understood, as the log says: {faults}"
            ));
        }
        notes
    }
}

/// Keeps the registry's histograms from growing between scrapes.
pub(crate) async fn upkeep(registry: PrometheusHandle, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL))
        .await
        .is_some()
    {
        registry.run_upkeep();
    }
}
