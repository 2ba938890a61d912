//! An asynchronous standby that lags takes over: what the primary had confirmed and the standby never got is stored again
//! from kept segments.

use testkit::Link;

use crate::callers::{Callers, Until};
use crate::database::busy;
use crate::figures::unanswered;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 6;

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let lag: usize = plan.pick(1_000, 20_000);
    report.say(format_args!(
        "failover to an asynchronous standby that lags by about {lag} events"
    ));
    let site = Site::with_server(plan, Pace::AtOnce).await;
    let gateway = busy(site.gateway()).start().await;
    let callers = Callers::start(
        &site.client(&gateway),
        &site.asking(CALLERS, Until::Stopped),
    );
    callers.more(300).await;
    let replication = Link::to(site.scene.database.address()).await;
    let standby = site.server().standby(&replication).await;
    callers.more(300).await;
    replication.cut();
    let lost_from = callers.so_far() as u64;
    callers.more(lag).await;
    let confirmed = site.until_stored(lost_from + lag as u64).await;

    site.server().kill();
    callers.more(200).await;
    standby.promote();
    standby.stop();
    site.server().give_way_to(&standby);
    // Until it is known what it has, nobody adds to it.
    site.link.cut();
    site.server().start_again();
    let there = site.stored().await;
    site.link.restore();
    report.say(format_args!(
        "  confirmed by the primary: {confirmed} at least, on the standby: {there}"
    ));
    report.check("the standby lagged", there < confirmed);
    callers.more(300).await;
    let calls = callers.stop().await;
    site.until_stored(calls.len() as u64).await;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    let said = gateway
        .log()
        .contains("lost usage events that it had confirmed");
    report.check("the log says that the database went back", said);
    site.audit(&calls).await.check(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}
