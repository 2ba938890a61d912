//! Rows that PostgreSQL refuses, among many that it takes.
//!
//! Holds: every good one is stored, once; every bad one is set aside, once, with PostgreSQL's reason.

use std::collections::HashMap;

use tokio::time::Instant;
use uuid::Uuid;

use crate::callers::{Call, Callers, Outcome, Until};
use crate::figures::unanswered;
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::{Pace, numbered_model};

const CALLERS: u32 = 16;
/// One of so many is bad.
const GOOD_TO_BAD: u64 = 1_000;
const CONSTRAINT: &str =
    "ALTER TABLE usage_events ADD CONSTRAINT no_poison CHECK (model NOT LIKE '%poison%')";

fn model(number: u64) -> String {
    if is_bad(number) {
        format!("claude-poison-{number}")
    } else {
        numbered_model(number)
    }
}

fn is_bad(number: u64) -> bool {
    number % GOOD_TO_BAD == GOOD_TO_BAD / 2
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let events: u64 = plan.pick(5_000, 100_000);
    report.say(format_args!(
        "{events} events while the database is away, one of {GOOD_TO_BAD} refused by a CHECK constraint"
    ));
    let site = Site::new(plan, Pace::AtOnce).await;
    site.scene.sql.batch_execute(CONSTRAINT).await.unwrap();
    let gateway = site.gateway().start().await;
    site.link.cut();
    let mut asking = site.asking(CALLERS, Until::Asked(events));
    asking.model = model;
    let calls = Callers::start(&site.client(&gateway), &asking)
        .ended()
        .await;
    let bad = unanswered(&calls);
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    site.link.restore();
    let began = Instant::now();
    site.until_stored(events).await;
    report.say(format_args!(
        "  stored or set aside within {:.1} s",
        began.elapsed().as_secs_f64()
    ));

    let (bad, good): (Vec<Call>, Vec<Call>) =
        calls.into_iter().partition(|call| is_bad(call.number));
    site.audit(&good).await.check(&mut report);
    check_letters(&site, &bad, &mut report).await;
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    report
}

async fn check_letters(site: &Site, bad: &[Call], report: &mut Report) {
    let query = "SELECT request_id, reason FROM ingest_dead_letters";
    let letters = site.sql().await.query(query, &[]).await.unwrap();
    let reasons: HashMap<Uuid, String> =
        letters.iter().map(|row| (row.get(0), row.get(1))).collect();
    let set_aside = |call: &&Call| match call.outcome {
        Outcome::Answered(Some(id)) => reasons
            .get(&id)
            .is_some_and(|why| why.contains("no_poison")),
        Outcome::Answered(None) | Outcome::Refused(_) | Outcome::Broken => false,
    };
    let right = bad.iter().filter(set_aside).count();
    report.check(
        format_args!(
            "bad ones set aside with the reason: {right} of {}, dead letters: {}",
            bad.len(),
            letters.len()
        ),
        right == bad.len() && letters.len() == bad.len(),
    );
}
