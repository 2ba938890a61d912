//! How long a million keys take to load, and what they take then.
//!
//! Measured is the time from the start of the process until `/readyz` says yes, found by looking each 5 ms, with an empty data
//! directory, less the same with one key: so it has the query, the database's part of it included, and the making of the index.

use std::time::Duration;

use testkit::Gateway;
use tokio::time::Instant;

use super::{Ground, megabytes, memory, told};
use crate::figures::median;
use crate::kernel::Processes;
use crate::many_keys;
use crate::plan::Plan;
use crate::report::Report;

const LONGEST: Duration = Duration::from_secs(3);
const MOST_MEGABYTES: f64 = 300.0;

/// Seconds until a gateway is ready with the keys that there are, in the middle of some starts.
pub(super) async fn starts(plan: &Plan, ground: &Ground) -> f64 {
    let mut took = Vec::new();
    for _ in 0..plan.pick(1, 3) {
        let (gateway, seconds) = start(ground).await;
        took.push(seconds);
        gateway.kill().await;
    }
    median(&took)
}

async fn start(ground: &Ground) -> (Gateway, f64) {
    let began = Instant::now();
    let gateway = ground.gateway().start().await;
    let took = began.elapsed();
    (gateway, took.as_secs_f64())
}

/// Keys from `there` on are made.
pub(super) async fn run(plan: &Plan, ground: &Ground, few: f64, there: u32, report: &mut Report) {
    let keys: u32 = plan.pick(20_000, 1_000_000);
    many_keys::insert(&ground.scene, there..keys).await;
    let many = starts(plan, ground).await;
    let loading = many - few;
    report.say(format_args!(
        "{keys} keys: ready {many:.2} s after the start, with one key {few:.2} s: {loading:.2} s for the keys"
    ));
    // A debug build beside other tests, and few keys: only that it isn't out of all proportion.
    let bound = LONGEST.as_secs_f64() * plan.pick(5.0, 1.0);
    report.check(
        format_args!("they are loaded within {bound} s"),
        loading <= bound,
    );

    let (gateway, _) = start(ground).await;
    let cpu = Processes(vec![gateway.pid()]).cpu().total();
    report.say(format_args!(
        "  of which the gateway's own threads were on a processor for {:.2} s",
        cpu.as_secs_f64()
    ));
    let loaded = memory(&gateway);
    tokio::time::sleep(ground.settling).await;
    let settled = memory(&gateway);
    report.say(format_args!(
        "  when ready: {}\n  {:?} later: {}",
        told(loaded),
        ground.settling,
        told(settled)
    ));
    let bound = MOST_MEGABYTES * plan.pick(2.0, 1.0);
    report.check(
        format_args!("all that is resident is {bound} MB at the most"),
        megabytes(settled.resident) <= bound,
    );
    let found = gateway.metric("mindweave_keys_loaded").await;
    // The scene has one of its own.
    report.check(
        format_args!("{found} keys are in memory"),
        found >= f64::from(keys),
    );
    let answer = gateway.client(&many_keys::text(keys - 1)).ask().await;
    report.check("the last of them is let through", answer.status == 200);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}
