//! The gateway is killed (`kill -9`) at random moments, with JSON and SSE answers under way.
//!
//! Holds: an answered request is a row, once; what the upstream saw is a row, be it as interrupted.

use std::time::Duration;

use crate::callers::{Call, Callers, Outcome, Until};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 8;
/// Before each part of an answer, so that kills meet answers that are half told.
const LONGEST_PAUSE: Duration = Duration::from_millis(6);
const LATEST_KILL_MS: u64 = 400;

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let kills: u32 = plan.pick(6, 100);
    let site = Site::new(plan, Pace::Hesitant(LONGEST_PAUSE)).await;
    report.say(format_args!(
        "{kills} times kill -9 up to {LATEST_KILL_MS} ms after the start, {CALLERS} callers, half of the answers streamed"
    ));
    let mut calls = Vec::new();
    for round in 0..kills {
        calls.extend(one_life(&site, round).await);
    }
    let broken = |streamed| {
        let broken = |call: &&Call| call.outcome == Outcome::Broken && call.streamed == streamed;
        calls.iter().filter(broken).count()
    };
    report.say(format_args!(
        "  broken off by kills: {} JSON answers, {} streams",
        broken(false),
        broken(true)
    ));

    let gateway = site.gateway().start().await;
    let last = Callers::start(&site.client(&gateway), &site.asking(1, Until::Asked(10)));
    calls.extend(last.ended().await);
    report.check(
        "the last one ends in good order",
        gateway.stop().await.success(),
    );
    let audit = site.audit(&calls).await;
    audit.check(&mut report);
    report.check("kills met requests under way", audit.interrupted > 0);
    report
}

async fn one_life(site: &Site, round: u32) -> Vec<Call> {
    let durability = ["fsync", "process"][round as usize % 2];
    let gateway = site.gateway().env("MINDWEAVE_SPOOL_DURABILITY", durability);
    let gateway = gateway.start().await;
    let callers = Callers::start(&site.client(&gateway), &site.asking(CALLERS, Until::Broken));
    // A moment is what is wanted here, and nothing that it waits for.
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..LATEST_KILL_MS))).await;
    gateway.kill().await;
    callers.ended().await
}
