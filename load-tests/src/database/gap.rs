//! A restore to before what kept segments reach back to: what is lost for good is reported to the event.

use crate::callers::{Callers, Until};
use crate::database::{busy, restore};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 6;
const SMALLEST_SPOOL_BYTES: &str = "4194304";

/// What the log says of one stream.
#[derive(Debug, Clone, Copy)]
struct Gap {
    first: u64,
    last: u64,
    missing: u64,
}

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let since: usize = plan.pick(8_000, 50_000);
    report.say(format_args!(
        "restore from a backup that is {since} events old, with a spool that keeps next to nothing"
    ));
    let site = Site::with_server(plan, Pace::AtOnce).await;
    let gateway = busy(site.gateway())
        .env("MINDWEAVE_SPOOL_KEEP", "1ms")
        .env("MINDWEAVE_SPOOL_MAX_BYTES", SMALLEST_SPOOL_BYTES);
    let gateway = gateway.start().await;
    let callers = Callers::start(
        &site.client(&gateway),
        &site.asking(CALLERS, Until::Stopped),
    );
    callers.more(500).await;
    restore::back_in_time(&site, &callers, since).await;
    callers.more(300).await;
    let calls = callers.stop().await;
    // Each event is stored in the end, or said to be missing.
    let counted = testkit::eventually("all events are accounted for", || async {
        let missing = gateway.metric("mindweave_events_missing_total").await;
        let stored = f64::from(u32::try_from(site.stored().await).unwrap());
        let all = f64::from(u32::try_from(calls.len()).unwrap());
        (stored + missing >= all).then_some(missing)
    })
    .await;
    let gaps = gaps_in(&gateway.log());
    let said: u64 = gaps.iter().map(|gap| gap.missing).sum();

    for Gap {
        first,
        last,
        missing,
    } in &gaps
    {
        report.say(format_args!(
            "  the log: events {first} to {last} of a stream, {missing}"
        ));
    }
    let audit = site.audit(&calls).await;
    report.say(format_args!(
        "  {} answers, {} rows",
        audit.answered, audit.rows
    ));
    let lost = audit.lost;
    report.check("there is a gap", lost > 0);
    report.check(
        format_args!("lost: {lost}, said by the log: {said}"),
        said == lost as u64,
    );
    let agrees = (counted - f64::from(u32::try_from(lost).unwrap())).abs() < 0.5;
    report.check(
        format_args!("said by mindweave_events_missing_total: {counted}"),
        agrees,
    );
    let consistent = gaps
        .iter()
        .all(|gap| gap.last + 1 - gap.first == gap.missing);
    report.check("first and last of each gap fit its size", consistent);
    audit.check_rows(report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}

fn gaps_in(log: &str) -> Vec<Gap> {
    let lines = log
        .lines()
        .filter(|line| line.contains("nor on disk any more"));
    let gap = |line| {
        Some(Gap {
            first: field(line, "first")?,
            last: field(line, "last")?,
            missing: field(line, "missing")?,
        })
    };
    lines.filter_map(gap).collect()
}

fn field(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    rest.split(' ').next()?.parse().ok()
}
