//! What the gateway costs callers: requests a second and latency, as ratios to the same upstream without it.
//!
//! Callers, gateway, upstream and database share the machine: the ratio of rates says what CPU a request costs all of them
//! together, and latencies are those of a machine that is busy.

use std::time::Duration;

use testkit::{Client, Gateway};
use tokio::time::Instant;

use crate::callers::{Callers, Until};
use crate::figures::{Latencies, median, rate, unanswered};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 16;

/// One measurement.
struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let rounds: usize = plan.pick(2, 7);
    let each = plan.pick(Duration::from_secs(1), Duration::from_secs(5));
    report.say(format_args!(
        "{CALLERS} callers without pauses, {each:?} each way, {rounds} rounds in turns; medians of the ratios"
    ));
    let site = Site::new(plan, Pace::AtOnce).await;
    let (fsync, process) = (start(&site, "fsync").await, start(&site, "process").await);
    let ways = [
        Client::new(&site.upstream.url(), &site.scene.key),
        site.client(&fsync),
        site.client(&process),
    ];
    let mut rows: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
    let mut bad = 0;
    // The first round warms up.
    for round in 0..=rounds {
        for (client, rows) in ways.iter().zip(&mut rows) {
            let figures = measure(&site, client, each, &mut bad).await;
            if round > 0 {
                rows.push(figures);
            }
        }
    }
    for (name, rows_of_it) in ["durability fsync", "durability process"]
        .iter()
        .zip(&rows[1..])
    {
        let ratio = |of: fn(&Figures) -> f64| {
            let ratios: Vec<_> = rows_of_it
                .iter()
                .zip(&rows[0])
                .map(|(figures, bare)| of(figures) / of(bare))
                .collect();
            median(&ratios)
        };
        report.say(format_args!(
            "  {name}: requests a second x{:.2}, p50 x{:.2}, p99 x{:.2} of the bare upstream",
            ratio(|figures| figures.per_second),
            ratio(|figures| figures.p50),
            ratio(|figures| figures.p99)
        ));
    }
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    let (fsync, process) = (fsync.stop().await, process.stop().await);
    report.check(
        "the gateways end in good order",
        fsync.success() && process.success(),
    );
    report
}

async fn start(site: &Site, durability: &str) -> Gateway {
    let gateway = site.gateway().data_dir(&site.folder().join(durability));
    let gateway = gateway.env("MINDWEAVE_SPOOL_DURABILITY", durability);
    gateway.start().await
}

async fn measure(site: &Site, client: &Client, each: Duration, bad: &mut usize) -> Figures {
    let began = Instant::now();
    let callers = Callers::start(client, &site.asking(CALLERS, Until::Stopped));
    tokio::time::sleep(each).await;
    let calls = callers.stop().await;
    let took = began.elapsed();
    *bad += unanswered(&calls);
    let latencies = Latencies::of(&calls);
    Figures {
        per_second: rate(calls.len(), took),
        p50: latencies.percentile(50).as_secs_f64(),
        p99: latencies.percentile(99).as_secs_f64(),
    }
}
