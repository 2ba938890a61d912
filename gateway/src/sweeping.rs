//! Lets go of what the policy engine needn't keep: windows that are over, counters that can be made again, buckets that are full.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use metrics::{describe_gauge, gauge};
use policy_engine::Engine;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(60);

/// Once a minute, until `stop`.
pub(crate) async fn sweep(engine: Arc<Engine>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    describe_gauge!(
        "mindweave_budget_counters",
        "Counters of budgets and buckets of rates that are in memory"
    );
    let turn = async || {
        tokio::time::sleep(INTERVAL).await;
        engine.sweep(clock.now());
        let size = engine.size();
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("mindweave_budget_counters").set((size.counters + size.buckets) as f64);
    };
    while stop.run_until_cancelled(turn()).await.is_some() {}
}
