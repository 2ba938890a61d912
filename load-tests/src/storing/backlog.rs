//! What two writers store a second of what waits in the spool, as a ratio to psql.
//!
//! The gateway that gathered the events is killed once all of them are on disk, and the one that finds them there speaks to the
//! database as psql does, with nothing between them.

use testkit::Gateway;

use crate::callers::{Call, Callers, Until};
use crate::copying;
use crate::figures::{median, unanswered};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 64;
const WRITERS: &str = "2";
const LEAST: f64 = 0.95;
/// Times that psql copies the rows.
const COPIES: usize = 3;

pub(super) async fn run(plan: &Plan, events: u32, rounds: usize, report: &mut Report) {
    report.say(format_args!(
        "{events} events wait for the database, {WRITERS} writers store them; {rounds} times"
    ));
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        ratios.push(once(plan, events, report).await);
    }
    let ratio = median(&ratios);
    let line = format!("stored at {ratio:.2} times the rate of psql's \\copy");
    if plan.pick(true, false) {
        report.say(format_args!("  {line}"));
    } else {
        report.check(format_args!("{line} (bound: {LEAST})"), ratio >= LEAST);
    }
}

/// The ratio of one backlog.
async fn once(plan: &Plan, events: u32, report: &mut Report) -> f64 {
    let site = Site::new(plan, Pace::AtOnce).await;
    let calls = gather(&site, events).await;
    let expected = calls.len() as u64;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);

    let before = copying::stored(&site).await;
    let start = site
        .gateway_without_link()
        .env("MINDWEAVE_INGEST_WRITERS", WRITERS)
        .start();
    let (gateway, stored) = tokio::join!(start, copying::drain(&site, before, expected));
    site.audit(&calls).await.check(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    let mut copies = Vec::new();
    for _ in 0..COPIES {
        copies.push(copying::psql(&site).await);
    }
    let copied = median(&copies);
    report.say(format_args!(
        "  {stored:.0} events a second, psql {copied:.0} rows a second: x{:.2}",
        stored / copied
    ));
    stored / copied
}

/// Events that are on disk and nowhere else.
async fn gather(site: &Site, events: u32) -> Vec<Call> {
    let gateway: Gateway = site
        .gateway()
        .env("MINDWEAVE_INGEST_WRITERS", WRITERS)
        .start()
        .await;
    site.link.cut();
    let asking = site.asking(CALLERS, Until::Asked(u64::from(events)));
    let calls = Callers::start(&site.client(&gateway), &asking)
        .ended()
        .await;
    // Told to stop it would wait for the database.
    gateway.kill().await;
    calls
}
