//! The disk that the spool is on is filled up by something else.
//!
//! Holds: who is refused gets 503 and the upstream sees nothing of it; nothing is lost; when there is space again, requests
//! are admitted again by themselves.

use http::StatusCode;
use testkit::Gateway;
use tokio::time::Instant;

use crate::callers::{Call, Callers, Outcome, Until};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::tmpfs::Tmpfs;
use crate::upstream::Pace;

const CALLERS: u32 = 8;
const DISK_MEBIBYTES: u32 = 96;

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let rounds: u32 = plan.pick(1, 5);
    report.say(format_args!(
        "{rounds} times the spool's disk of {DISK_MEBIBYTES} MiB is filled up by another file, and emptied"
    ));
    let disk = Tmpfs::mount(DISK_MEBIBYTES);
    let site = Site::new(plan, Pace::AtOnce).await;
    let spool = disk.path().join("spool");
    let gateway = site
        .gateway()
        .env("MINDWEAVE_SPOOL_DIR", &spool.display().to_string());
    let gateway = gateway.start().await;
    let mut calls = ask(&site, &gateway, 200).await;
    for _ in 0..rounds {
        // Away as well: what is on the disk has to stay there, and the gateway can't help itself.
        site.link.cut();
        calls.extend(one_round(&site, &gateway, &disk, &mut report).await);
        site.link.restore();
    }
    calls.extend(ask(&site, &gateway, 200).await);

    let refused: Vec<_> = calls.iter().filter(|call| !is_admitted(call)).collect();
    let unavailable = Outcome::Refused(StatusCode::SERVICE_UNAVAILABLE);
    report.check(
        format_args!("{} requests refused, each by 503", refused.len()),
        !refused.is_empty() && refused.iter().all(|call| call.outcome == unavailable),
    );
    let seen = site.upstream.seen();
    let spent = refused
        .iter()
        .filter(|call| seen.contains(&call.number))
        .count();
    report.check(
        format_args!("refused and seen by the upstream: {spent}"),
        spent == 0,
    );
    let broken = |call: &&Call| call.outcome == Outcome::Broken;
    let broken = calls.iter().filter(broken).count();
    report.check(
        format_args!("requests without an answer: {broken}"),
        broken == 0,
    );
    site.until_stored((calls.len() - refused.len()) as u64)
        .await;
    site.audit(&calls).await.check(&mut report);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    report
}

async fn ask(site: &Site, gateway: &Gateway, count: u64) -> Vec<Call> {
    let asking = site.asking(CALLERS, Until::Asked(count));
    Callers::start(&site.client(gateway), &asking).ended().await
}

/// Fills the disk, waits for refusals, empties it, waits for answers.
async fn one_round(site: &Site, gateway: &Gateway, disk: &Tmpfs, report: &mut Report) -> Vec<Call> {
    let mut calls = Vec::new();
    let filler = disk.fill();
    loop {
        // Near the end a place is free now and then.
        let next = ask(site, gateway, 200).await;
        let is_over = !next.iter().any(is_admitted);
        calls.extend(next);
        if is_over {
            break;
        }
    }
    let ready = gateway.operator().get("/readyz").await;
    let said = ready.status == StatusCode::SERVICE_UNAVAILABLE;
    report.check("/readyz says that there is no room", said);
    std::fs::remove_file(filler).unwrap();
    let began = Instant::now();
    loop {
        let next = ask(site, gateway, 10).await;
        let admitted = next.iter().all(is_admitted);
        calls.extend(next);
        if admitted {
            break;
        }
        if began.elapsed() > testkit::PATIENCE {
            report.check("requests are admitted again", false);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    report.say(format_args!(
        "  admitted again {:.1} s after there was space",
        began.elapsed().as_secs_f64()
    ));
    calls
}

fn is_admitted(call: &Call) -> bool {
    !matches!(call.outcome, Outcome::Refused(_))
}
