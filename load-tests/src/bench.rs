//! What the gateway costs beside proxies that check nothing: CPU, latency, memory.
//!
//! Everybody has one worker, and is asked in turns within each round; ratios are those of a round, and told by their median. CPU is
//! what the kernel says all threads of the process had: generator, upstream and database share the machine and are not counted.

mod asker;
mod body;
mod console;
mod contestants;
mod document;
mod generator;
mod keys;
mod machine;
mod peers;
mod plots;
mod question;
mod results;
mod scenario;
mod tables;
mod timer;
mod told;
mod turns;
mod who;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::contestants::Contestants;
use self::machine::Machine;
use self::results::Results;
use self::scenario::Scenario;
use self::turns::Effort;
use self::who::Who;
use crate::plan::Plan;
use crate::report::Report;

/// What is measured, and what becomes of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Only the scenarios of these names (files in `load-tests/scenarios` without `.toml`)
    #[arg(value_name = "NAME")]
    only: Vec<String>,
    /// Only these contestants; may be given more than once
    #[arg(long, value_name = "WHO")]
    of: Vec<Who>,
    /// How often everybody is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Where what was measured is written, as JSON [default: `bench.json` beside this program]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Writes tables into `PERFORMANCE.md` of this folder and plots into its `performance/`
    #[arg(long, value_name = "FOLDER")]
    docs: Option<PathBuf>,
    /// Measures nothing: takes what an earlier run has written
    #[arg(long, value_name = "PATH", conflicts_with_all = ["only", "of", "rounds", "data"])]
    from: Option<PathBuf>,
}

pub(crate) async fn run(choice: &Choice, plan: &Plan, mut report: Report) -> Report {
    if let Err(complaint) = obey(choice, plan, &mut report).await {
        report.check(complaint, false);
    }
    report
}

async fn obey(choice: &Choice, plan: &Plan, report: &mut Report) -> Result<(), String> {
    let results = match &choice.from {
        Some(path) => Results::read(path)?,
        None => measured(choice, plan, report).await?,
    };
    if let Some(folder) = &choice.docs {
        document::write(&results, folder)?;
        plots::write(&results, &folder.join("performance"))?;
        report.say(format_args!(
            "written: tables and plots in {}",
            folder.display()
        ));
    }
    Ok(())
}

async fn measured(choice: &Choice, plan: &Plan, report: &mut Report) -> Result<Results, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let all = Scenario::all(&folder)?;
    let all = plan.pick(shortened as fn(_) -> _, |all| all)(all);
    let scenarios = chosen(choice, &all)?;
    let path = data(choice, plan)?;
    open_as_many_files_as_allowed();
    let wanted = if choice.of.is_empty() {
        Who::ALL.to_vec()
    } else {
        choice.of.clone()
    };
    let keys = scenarios.iter().map(|scenario| scenario.keys).max();
    let contestants = Contestants::start(&wanted, keys.unwrap_or(1), plan).await;
    for (who, why) in &contestants.missing {
        report.say(format_args!("not measured: {}: {why}", who.title()));
    }
    let effort = Effort {
        rounds: choice.rounds.unwrap_or(plan.pick(1, 5)),
        turn: plan.pick(Duration::from_millis(60), Duration::from_millis(600)),
        warm_up: plan.pick(None, Some(Duration::from_millis(250))),
    };
    report.say(format_args!(
        "{} rounds, a turn of {:?} each; medians, ratios within a round",
        effort.rounds, effort.turn
    ));
    let mut results = Results {
        machine: Machine::look(),
        rounds: effort.rounds,
        turn_ms: u64::try_from(effort.turn.as_millis()).unwrap(),
        missing: contestants.missing.clone(),
        scenarios: Vec::new(),
    };
    for scenario in scenarios {
        let rate = rate(scenario, &all, &results, &contestants, effort).await;
        let measured = turns::measure(scenario, rate, &contestants, effort).await;
        console::say(&measured, report);
        results.scenarios.push(measured);
    }
    report.check("the gateways end in good order", contestants.stop().await);
    results.write(&path)?;
    report.say(format_args!("written: {}", path.display()));
    Ok(results)
}

fn shortened(all: Vec<Scenario>) -> Vec<Scenario> {
    all.into_iter().map(Scenario::shortened).collect()
}

fn chosen<'a>(choice: &Choice, all: &'a [Scenario]) -> Result<Vec<&'a Scenario>, String> {
    let is_known = |name: &String| all.iter().any(|scenario| scenario.name == *name);
    if let Some(unknown) = choice.only.iter().find(|name| !is_known(name)) {
        return Err(format!("there is no {unknown}.toml among the scenarios"));
    }
    let is_chosen =
        |scenario: &&Scenario| choice.only.is_empty() || choice.only.contains(&scenario.name);
    Ok(all.iter().filter(is_chosen).collect())
}

/// Runs of different lengths don't overwrite each other.
fn data(choice: &Choice, plan: &Plan) -> Result<PathBuf, String> {
    if let Some(path) = &choice.data {
        return Ok(path.clone());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name(plan.pick("bench-short.json", "bench.json")))
}

/// Half of what was measured in this run before, or else is now, in one round.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is at least one"
)]
async fn rate(
    scenario: &Scenario,
    all: &[Scenario],
    results: &Results,
    contestants: &Contestants,
    effort: Effort,
) -> Option<u32> {
    let Some(of) = &scenario.half_of else {
        return scenario.per_second;
    };
    let slowest = match results.of(of) {
        Some(measured) => measured.slowest(),
        None => {
            let other = all.iter().find(|other| other.name == *of)?;
            let effort = Effort {
                rounds: 1,
                ..effort
            };
            turns::measure(other, None, contestants, effort)
                .await
                .slowest()
        }
    };
    Some((slowest? / 2.0).max(1.0) as u32)
}

/// Thousands of streams are open at once, here and in those who pass them on; they inherit what is allowed here.
fn open_as_many_files_as_allowed() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it can't be raised, scenarios with fewer connections are measured nevertheless.
    let _ = setrlimit(Resource::Nofile, raised);
}
