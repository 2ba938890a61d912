//! What CPU a request costs with few keys, policies and connections, and with many of them.
//!
//! For each axis there are gateways at both of its ends, which are asked the same at the same rate in turns within each round; ratios
//! are those of a round, and told by their median. CPU is what the kernel says all threads of the gateway had.

mod house;
mod measure;

use std::time::Duration;

use self::house::{House, Policies, Tenant};
use self::measure::{Measure, Way, compare};
use crate::plan::Plan;
use crate::report::Report;

const CONNECTIONS: usize = 16;
/// What growth by many keys or policies may cost.
const BOUND: f64 = 1.10;
/// What it may cost by many connections.
const BOUND_OF_CONNECTIONS: f64 = 1.25;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Only by these
    #[arg(value_name = "AXIS")]
    only: Vec<Axis>,
    /// How often every gateway is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Requests a second with many keys or policies [default: as fast as answers come]
    #[arg(long, value_name = "N")]
    per_second: Option<u32>,
}

/// What there may be many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Axis {
    Keys,
    Policies,
    Connections,
}

pub(crate) async fn run(choice: &Choice, plan: &Plan, mut report: Report) -> Report {
    let measure = Measure {
        rounds: choice.rounds.unwrap_or(plan.pick(1, 9)),
        each: plan.pick(Duration::from_millis(300), Duration::from_secs(2)),
        per_second: choice.per_second,
        checked: plan.pick(false, true),
    };
    report.say(format_args!(
        "{} rounds of {:?} each in turns; medians, ratios within a round",
        measure.rounds, measure.each
    ));
    let mut house = House::open(plan);
    // Where there is one of everything, and no policies.
    let plain = house.tenant(Policies::None, 1).await;
    for axis in [Axis::Keys, Axis::Policies, Axis::Connections] {
        if !choice.only.is_empty() && !choice.only.contains(&axis) {
            continue;
        }
        match axis {
            Axis::Keys => keys(plan, &mut house, plain, &measure, &mut report).await,
            Axis::Policies => policies(&mut house, plain, &measure, &mut report).await,
            Axis::Connections => connections(plan, &mut house, plain, &measure, &mut report).await,
        }
    }
    report.check("the gateways end in good order", house.close().await);
    report
}

async fn keys(
    plan: &Plan,
    house: &mut House,
    plain: Tenant,
    measure: &Measure,
    report: &mut Report,
) {
    let many: u32 = plan.pick(2_000, 1_000_000);
    let all = house.tenant(Policies::None, many).await;
    let mut ways = Vec::new();
    for (name, tenant, asking) in [
        ("1 key".to_owned(), plain, 1),
        (format!("{many} keys, all ask"), all, many),
        (format!("{many} keys, one asks"), all, 1),
    ] {
        let crowd = house.crowd(tenant, asking, CONNECTIONS).await;
        ways.push(Way::new(name, house.processes(tenant), crowd));
    }
    // The first poll, the copy on disk: with many keys that is work of the start.
    tokio::time::sleep(plan.pick(Duration::from_millis(100), Duration::from_secs(15))).await;
    for way in ways.iter().take(2) {
        let idle = way.idle(plan.pick(Duration::from_millis(100), Duration::from_secs(10)));
        let percent = idle.await * 100.0;
        report.say(format_args!(
            "{}: {percent:.2} % of a core when idle",
            way.name
        ));
    }
    compare(report, &mut ways, measure, BOUND).await;
    house.leave([all]).await;
}

async fn policies(house: &mut House, plain: Tenant, measure: &Measure, report: &mut Report) {
    let crowd = house.crowd(plain, 1, CONNECTIONS).await;
    let mut ways = vec![Way::new(
        "no policies".to_owned(),
        house.processes(plain),
        crowd,
    )];
    let mut there = Vec::new();
    for (name, policies) in [
        ("100 policies of other keys", Policies::OfOthers),
        ("100 policies of everybody", Policies::OfEverybody),
    ] {
        let tenant = house.tenant(policies, 1).await;
        there.push(tenant);
        let crowd = house.crowd(tenant, 1, CONNECTIONS).await;
        ways.push(Way::new(name.to_owned(), house.processes(tenant), crowd));
    }
    compare(report, &mut ways, measure, BOUND).await;
    house.leave(there).await;
}

async fn connections(
    plan: &Plan,
    house: &mut House,
    plain: Tenant,
    measure: &Measure,
    report: &mut Report,
) {
    let possible = usize::try_from(house.files / 2).unwrap();
    let many = plan.pick(100, 10_000).min(possible);
    let another = house.tenant(Policies::None, 1).await;
    let mut ways = Vec::new();
    for (tenant, connections) in [(plain, 1), (another, many)] {
        let crowd = house.crowd(tenant, 1, connections).await;
        let name = format!("connections: {connections}");
        ways.push(Way::new(name, house.processes(tenant), crowd));
    }
    // What one connection can ask, one after the other: else many would share wake-ups that one has for itself.
    let measure = Measure {
        per_second: Some(plan.pick(100, 1_000)),
        ..*measure
    };
    compare(report, &mut ways, &measure, BOUND_OF_CONNECTIONS).await;
    house.leave([another]).await;
}
