//! `kill -9` of all of PostgreSQL's processes under load, and a restart.

use std::time::Duration;

use crate::callers::{Callers, Until};
use crate::database::busy;
use crate::figures::unanswered;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 6;

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let crashes: u32 = plan.pick(3, 20);
    report.say(format_args!("{crashes} times kill -9 of PostgreSQL"));
    let site = Site::with_server(plan, Pace::AtOnce).await;
    let gateway = busy(site.gateway()).start().await;
    let callers = Callers::start(
        &site.client(&gateway),
        &site.asking(CALLERS, Until::Stopped),
    );
    for _ in 0..crashes {
        // A moment is what is wanted here, and nothing that it waits for.
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..300))).await;
        site.server().kill();
        callers.more(200).await;
        site.server().start_again();
        let before = site.stored().await;
        testkit::eventually("events are stored again", || async {
            (site.stored().await > before).then_some(())
        })
        .await;
    }
    let calls = callers.stop().await;
    site.until_stored(calls.len() as u64).await;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    let hits = gateway.log().matches("they wait in the spool").count();
    report.check(
        format_args!("crashes met writers at work: {hits} times"),
        hits > 0,
    );
    site.audit(&calls).await.check(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}
