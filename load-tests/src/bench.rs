//! What the gateway costs beside proxies that check nothing: CPU, latency, memory.
//!
//! Everybody has one worker, and is asked in turns within each round; ratios are those of a round, and told by their median. CPU is
//! what the kernel says all threads of the process had: generator, upstream and database share the machine and are not counted.

mod contestants;
mod generator;
mod scenario;

use std::path::Path;
use std::time::Duration;

use self::contestants::{BARE_HYPER, Contestant, Contestants, DIRECT, NGINX};
use self::generator::Told;
use self::scenario::Scenario;
use crate::figures::median;
use crate::kernel::Processes;
use crate::plan::Plan;
use crate::report::Report;

/// Which scenarios.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Only the scenarios of these names (files in `load-tests/scenarios` without `.toml`)
    #[arg(value_name = "NAME")]
    only: Vec<String>,
    /// How often everybody is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

/// One measurement of one contestant.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Microseconds an answer; none of the upstream itself.
    cpu: f64,
    per_second: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
    first_p99: f64,
    /// MiB
    resident: f64,
}

pub(crate) async fn run(choice: &Choice, plan: &Plan, mut report: Report) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let scenarios = match chosen(choice, &folder) {
        Ok(scenarios) => scenarios,
        Err(complaint) => {
            report.check(complaint, false);
            return report;
        }
    };
    let contestants = Contestants::start(plan).await;
    for missing in &contestants.missing {
        report.say(format_args!("not measured: {missing}"));
    }
    let rounds = choice.rounds.unwrap_or(plan.pick(1, 5));
    let each = plan.pick(Duration::from_millis(300), Duration::from_secs(3));
    report.say(format_args!(
        "{rounds} rounds of {each:?} each in turns; medians, ratios within a round"
    ));
    for scenario in &scenarios {
        measure(scenario, &contestants.all, rounds, each, &mut report).await;
    }
    report.check("the gateways end in good order", contestants.stop().await);
    report
}

fn chosen(choice: &Choice, folder: &Path) -> Result<Vec<Scenario>, String> {
    let mut scenarios = Scenario::all(folder)?;
    let is_known = |name: &String| scenarios.iter().any(|scenario| scenario.name == *name);
    if let Some(unknown) = choice.only.iter().find(|name| !is_known(name)) {
        return Err(format!(
            "there is no {unknown}.toml in {}",
            folder.display()
        ));
    }
    if !choice.only.is_empty() {
        scenarios.retain(|scenario| choice.only.contains(&scenario.name));
    }
    Ok(scenarios)
}

async fn measure(
    scenario: &Scenario,
    contestants: &[Contestant],
    rounds: usize,
    each: Duration,
    report: &mut Report,
) {
    let mut figures: Vec<Vec<Figures>> = contestants.iter().map(|_| Vec::new()).collect();
    let (mut bad, mut complaint) = (0, None);
    // The first round warms up.
    for round in 0..=rounds {
        for (contestant, figures) in contestants.iter().zip(&mut figures) {
            let (one, told) = once(scenario, contestant, each).await;
            bad += told.bad;
            let says = |what| format!(": {} says {what}", contestant.name);
            complaint = complaint.or(told.complaint.map(says));
            if round > 0 {
                figures.push(one);
            }
        }
    }
    let unit = match scenario.events {
        None => "CPU us a request",
        Some(_) => "CPU us an event",
    };
    report.say(format_args!(
        "{}: {} connections\n  {:<18} {unit:>17} {:>8} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9}",
        scenario.title,
        scenario.connections,
        "",
        "x nginx",
        "x hyper",
        "a second",
        "p50 ms",
        "p99 ms",
        "1st p99",
        "MiB"
    ));
    let of = |name: &str| {
        let place = contestants.iter().position(|one| one.name == name);
        place.map(|place| figures[place].clone())
    };
    let (nginx, hyper) = (of(NGINX), of(BARE_HYPER));
    for (contestant, own) in contestants.iter().zip(&figures) {
        let middle = |of: fn(&Figures) -> f64| median(&own.iter().map(of).collect::<Vec<_>>());
        let ratio = |base: &Option<Vec<Figures>>| match base {
            Some(base) if contestant.name != DIRECT => {
                let pairs = own.iter().zip(base);
                let ratios: Vec<_> = pairs.map(|(own, base)| own.cpu / base.cpu).collect();
                format!("{:.2}", median(&ratios))
            }
            _ => "-".to_owned(),
        };
        report.say(format_args!(
            "  {:<18} {:>17.2} {:>8} {:>8} {:>10.0} {:>9.3} {:>9.3} {:>9.3} {:>9.1}",
            contestant.name,
            middle(|figures| figures.cpu) / f64::from(scenario.events.unwrap_or(1)),
            ratio(&nginx),
            ratio(&hyper),
            middle(|figures| figures.per_second),
            middle(|figures| figures.p50),
            middle(|figures| figures.p99),
            middle(|figures| figures.first_p99),
            middle(|figures| figures.resident),
        ));
    }
    let complaint = complaint.unwrap_or_default();
    report.check(
        format_args!("answers that are none, or say no: {bad}{complaint}"),
        bad == 0,
    );
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
async fn once(scenario: &Scenario, contestant: &Contestant, each: Duration) -> (Figures, Told) {
    let processes = contestant.processes.as_ref();
    let before = processes.map(Processes::cpu);
    let told = generator::ask(scenario, &contestant.target, each).await;
    let spent = processes
        .zip(before)
        .map(|(processes, before)| processes.cpu().since(&before));
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let figures = Figures {
        cpu: spent.map_or(f64::NAN, |spent| {
            spent.as_secs_f64() * 1e6 / told.answers as f64
        }),
        per_second: told.answers as f64 / told.during.as_secs_f64(),
        p50: milliseconds(told.took.value_at_quantile(0.5)),
        p99: milliseconds(told.took.value_at_quantile(0.99)),
        first_p99: milliseconds(told.first.value_at_quantile(0.99)),
        resident: processes.map_or(f64::NAN, |processes| {
            processes.resident() as f64 / 1_048_576.0
        }),
    };
    (figures, told)
}
