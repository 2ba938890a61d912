//! What memory the gateway takes at full rate, with the database down half of the time.
//!
//! Holds: it is as much at the end as after the first outage; nothing is lost or doubled meanwhile.

use std::time::Duration;

use testkit::Gateway;
use tokio::time::Instant;

use crate::callers::{Callers, Until};
use crate::figures::{median, rate, unanswered};
use crate::kernel::Processes;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 8;
const MEBIBYTE: f64 = 1_048_576.0;

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let long = plan.pick(Duration::from_secs(15), Duration::from_mins(10));
    let half = plan.pick(Duration::from_millis(1_250), Duration::from_secs(30));
    report.say(format_args!(
        "{long:?} at full rate, the database up and down by turns of {half:?}"
    ));
    let site = Site::new(plan, Pace::AtOnce).await;
    let keep = plan.pick("2s", "60s");
    let gateway = site.gateway().env("MINDWEAVE_SPOOL_KEEP", keep);
    let gateway = gateway.start().await;
    let mut asking = site.asking(CALLERS, Until::Stopped);
    // The names of models are labels of metrics, some of them: here they shall be few.
    asking.streamed = 20;
    let began = Instant::now();
    let callers = Callers::start(&site.client(&gateway), &asking);
    let samples = watch(&site, &gateway, long, half).await;
    let calls = callers.stop().await;
    let took = began.elapsed();
    site.until_stored(calls.len() as u64).await;

    report.say(format_args!(
        "  {} requests, {:.0} a second",
        calls.len(),
        rate(calls.len(), took)
    ));
    // The first sixth warms up.
    let sixth = samples.len() / 6;
    let early = median(&samples[sixth..2 * sixth]);
    let late = median(&samples[samples.len() - sixth..]);
    let most = samples.iter().copied().fold(0.0, f64::max);
    report.say(format_args!(
        "  resident: {early:.1} MiB in the second sixth, {late:.1} MiB in the last, {most:.1} MiB at the most"
    ));
    let bound = early * plan.pick(1.5, 1.1) + plan.pick(32.0, 8.0);
    report.check(
        format_args!("it doesn't grow (bound: {bound:.1} MiB)"),
        late <= bound,
    );
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    site.audit(&calls).await.check(&mut report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    report
}

/// What is resident, in MiB, ten times in each turn; the database is up again at the end.
async fn watch(site: &Site, gateway: &Gateway, long: Duration, half: Duration) -> Vec<f64> {
    let mut samples = Vec::new();
    let end = Instant::now() + long;
    let mut is_up = true;
    while Instant::now() < end {
        for _ in 0..10 {
            tokio::time::sleep(half / 10).await;
            samples.push(resident(gateway));
        }
        is_up = !is_up;
        if is_up {
            site.link.restore();
        } else {
            site.link.cut();
        }
    }
    site.link.restore();
    samples
}

/// Without files that are mapped: those the kernel takes back at will.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn resident(gateway: &Gateway) -> f64 {
    Processes(vec![gateway.pid()]).resident() as f64 / MEBIBYTE
}
