//! The link to PostgreSQL is cut at a given byte of a transaction, under load, and restored.

use crate::callers::{Callers, Until};
use crate::database::busy;
use crate::figures::unanswered;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 6;

/// What has gone to the server when the link breaks.
const MOMENTS: [(&str, &[u8]); 3] = [
    ("in the middle of COPY", b"PGCOPY\n\xff\r\n\0"),
    ("in the middle of the word COMMIT", b"COMM"),
    ("after COMMIT and before its answer", b"COMMIT\0"),
];

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let rounds: u32 = plan.pick(2, 20);
    let site = Site::new(plan, Pace::AtOnce).await;
    let gateway = busy(site.gateway()).start().await;
    let callers = Callers::start(
        &site.client(&gateway),
        &site.asking(CALLERS, Until::Stopped),
    );
    for (moment, mark) in MOMENTS {
        report.say(format_args!("{rounds} times the link is cut {moment}"));
        for _ in 0..rounds {
            // Not at the commit of a connection that only reads.
            site.link.cut_after_both(b"PGCOPY", mark);
            site.link.is_cut().await;
            callers.more(30).await;
            site.link.restore();
            let before = site.stored().await;
            testkit::eventually("events are stored again", || async {
                (site.stored().await > before).then_some(())
            })
            .await;
        }
    }
    let calls = callers.stop().await;
    site.until_stored(calls.len() as u64).await;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    site.audit(&calls).await.check(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}
