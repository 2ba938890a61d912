//! The database is lost, and restored from a backup that is thousands of events old.

use crate::callers::{Callers, Until};
use crate::database::busy;
use crate::figures::unanswered;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 6;

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let since: usize = plan.pick(3_000, 50_000);
    report.say(format_args!(
        "restore from a backup that is {since} events old, with kept segments that reach back"
    ));
    let site = Site::with_server(plan, Pace::AtOnce).await;
    let gateway = busy(site.gateway()).start().await;
    let callers = Callers::start(
        &site.client(&gateway),
        &site.asking(CALLERS, Until::Stopped),
    );
    callers.more(500).await;
    let there = back_in_time(&site, &callers, since).await;
    report.say(format_args!("  rows in the backup: {there}"));
    callers.more(300).await;
    let calls = callers.stop().await;
    site.until_stored(calls.len() as u64).await;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    let missing = gateway.metric("mindweave_events_missing_total").await;
    report.check(
        format_args!("reported as missing: {missing}"),
        missing == 0.0,
    );
    site.audit(&calls).await.check(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}

/// A backup, so many events, a loss of everything, and a restore; how many events the backup had.
pub(super) async fn back_in_time(site: &Site, callers: &Callers, since: usize) -> u64 {
    let backup = site.server().backup();
    let before = callers.so_far() as u64;
    callers.more(since).await;
    site.until_stored(before + since as u64).await;
    site.server().kill();
    site.server().give_way_to(&backup);
    // Until it is known what it has, nobody adds to it.
    site.link.cut();
    site.server().start_again();
    let there = site.stored().await;
    site.link.restore();
    there
}
