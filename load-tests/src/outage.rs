//! The database is away for as many events as a long outage makes, and comes back.
//!
//! Holds: callers notice nothing; what waited is stored in order, each event once. Measured: latency as a ratio to before,
//! and the rate of storing as a ratio to psql's `\copy` of the same rows into the same table.
//!
//! There is one writer: then the order of transactions is the order of storing, and one connection is compared with one.

use std::time::Duration;

use testkit::Gateway;
use tokio::time::Instant;

use crate::callers::{Call, Callers, Until};
use crate::copying;
use crate::figures::{Latencies, rate, unanswered};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 16;
const EVENTS_PER_SECOND: u32 = 2_000;
/// How far an event may be stored behind a later one: requests under way at the same time end in any order.
const ORDER: &str = "1 second";

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let events: u32 = plan.pick(20_000, 300_000);
    let before: u32 = plan.pick(4_000, 20_000);
    report.say(format_args!(
        "the database is away for {events} events at up to {EVENTS_PER_SECOND}/s: of the 7.2 million of an hour as many as fit"
    ));
    let site = Site::new(plan, Pace::AtOnce).await;
    let gateway = site.gateway().env("MINDWEAVE_INGEST_WRITERS", "1");
    let gateway = gateway.start().await;
    let mut calls = ask(&site, &gateway, before).await;
    let usual = Latencies::of(&calls);
    site.until_stored(calls.len() as u64).await;

    site.link.cut();
    let began = Instant::now();
    let during = ask(&site, &gateway, events).await;
    let achieved = rate(during.len(), began.elapsed());
    compare(plan, &mut report, &usual, &Latencies::of(&during), achieved);
    calls.extend(during);
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);

    site.link.restore();
    let expected = calls.len() as u64;
    let before = copying::stored(&site).await;
    let drain = copying::drain(&site, before, expected).await;
    // By the gateway's own books as well.
    testkit::eventually("the gateway knows that everything is stored", || async {
        let stored = gateway.metric("mindweave_events_stored_total").await;
        (stored >= whole(expected)).then_some(())
    })
    .await;
    site.audit(&calls).await.check(&mut report);
    check_order(&site, &mut report).await;
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    let copy = copying::psql(&site).await;
    report.say(format_args!(
        "  stored at {:.2} times the rate of psql's \\copy of the same rows",
        drain / copy
    ));
    report
}

async fn ask(site: &Site, gateway: &Gateway, count: u32) -> Vec<Call> {
    let mut asking = site.asking(CALLERS, Until::Asked(u64::from(count)));
    asking.per_second = Some(EVENTS_PER_SECOND);
    Callers::start(&site.client(gateway), &asking).ended().await
}

fn compare(plan: &Plan, report: &mut Report, usual: &Latencies, during: &Latencies, achieved: f64) {
    let ratio = |percent| {
        let usual = usual.percentile(percent).as_secs_f64();
        during.percentile(percent).as_secs_f64() / usual
    };
    let share = achieved / f64::from(EVENTS_PER_SECOND);
    report.say(format_args!(
        "  {:.0} % of the intended rate",
        share * 100.0
    ));
    let (p50, p99) = (ratio(50), ratio(99));
    report.say(format_args!(
        "  latency during the outage: p50 x{p50:.2}, p99 x{p99:.2} of before"
    ));
    // A run among others, as the short form may be, is a poor measure.
    let grace = plan.pick(Duration::from_millis(200), Duration::from_millis(5));
    let bound = 2 * usual.percentile(99) + grace;
    report.check("callers notice nothing", during.percentile(99) <= bound);
}

#[expect(clippy::cast_precision_loss, reason = "as metrics count")]
fn whole(count: u64) -> f64 {
    count as f64
}

async fn check_order(site: &Site, report: &mut Report) {
    let query = format!(
        "WITH batches AS (
            SELECT xmin::TEXT::BIGINT AS batch, min(time) AS first, max(time) AS last FROM usage_events GROUP BY 1
        ), seen AS (
            SELECT first, max(last) OVER (ORDER BY batch ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM batches
        ) SELECT count(*), count(*) FILTER (WHERE first < before - INTERVAL '{ORDER}') FROM seen"
    );
    let row = site.sql().await.query_one(&query, &[]).await.unwrap();
    let (batches, late): (i64, i64) = (row.get(0), row.get(1));
    report.check(
        format_args!("of {batches} batches, stored behind what was later: {late}"),
        late == 0,
    );
}
