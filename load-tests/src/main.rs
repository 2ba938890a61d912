//! Whole-process load and fault runs: the real binary, a real PostgreSQL, and what may happen to either.
//!
//! Each scenario is bounded in count and time, talks to loopback alone, ends only processes that it started, and prints
//! what it did, what it saw, and a verdict; the exit code is 0 if everything held. `--short` takes seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what can't be done is a failed run, which `main` says"
)]

mod admin;
mod audit;
mod bench;
mod budgets;
mod callers;
mod changes;
mod copying;
mod database;
mod descriptors;
mod disk_full;
mod figures;
mod footprint;
mod growth;
mod kernel;
mod kills;
mod latency;
mod many_keys;
mod memory;
mod offered;
mod outage;
mod overload;
mod plan;
mod poison;
mod question;
mod report;
mod simulator;
mod site;
mod storing;
mod tmpfs;
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::task::JoinSet;

use crate::plan::Plan;
use crate::report::Report;

/// Load and fault runs of MindWeave Gateway.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    plan: plan::Arguments,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Scenario {
    /// CPU, latency and memory beside nginx, a bare hyper proxy and pingora
    Bench(bench::Choice),
    /// kill -9 of the gateway at random moments under load
    Kills,
    /// PostgreSQL killed, cut off, failed over, restored
    Database,
    /// An outage of the database, and how fast it is made up for
    Outage,
    /// The disk of the spool is filled up by something else
    DiskFull,
    /// Rows that PostgreSQL refuses among good ones
    Poison,
    /// The gateway's memory at full rate, the database down half of the time
    Memory,
    /// Throughput and latency as ratios to the bare upstream
    Latency,
    /// Budgets used up by many at once, and kill -9 in the middle of it
    Budgets,
    /// How soon changes of keys, policies and quotas are in force
    Changes,
    /// Callers of the admin API, beside a steady load of requests
    Admin,
    /// Memory: idle, with a million keys, with 10,000 open streams
    Footprint,
    /// CPU a request with many keys, policies and connections
    Growth(growth::Choice),
    /// Twice as many requests as the gateway can take
    Overload,
    /// How fast events are stored, beside psql and under load
    Storing(storing::Choice),
}

impl Scenario {
    async fn run(self, plan: Plan, report: Report) -> Report {
        match self {
            Self::Bench(choice) => Box::pin(bench::run(&choice, &plan, report)).await,
            Self::Kills => kills::run(&plan, report).await,
            Self::Database => database::run(&plan, report).await,
            Self::Outage => outage::run(&plan, report).await,
            Self::DiskFull => disk_full::run(&plan, report).await,
            Self::Poison => poison::run(&plan, report).await,
            Self::Memory => memory::run(&plan, report).await,
            Self::Latency => Box::pin(latency::run(&plan, report)).await,
            Self::Budgets => Box::pin(budgets::run(&plan, report)).await,
            Self::Changes => Box::pin(changes::run(&plan, report)).await,
            Self::Admin => Box::pin(admin::run(&plan, report)).await,
            Self::Footprint => Box::pin(footprint::run(&plan, report)).await,
            Self::Growth(choice) => Box::pin(growth::run(&choice, &plan, report)).await,
            Self::Overload => Box::pin(overload::run(&plan, report)).await,
            Self::Storing(choice) => Box::pin(storing::run(&choice, &plan, report)).await,
        }
    }
}

/// No run takes longer, whatever hangs.
const LONGEST: Duration = Duration::from_mins(30);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = match cli.plan.check() {
        Ok(plan) => plan,
        Err(complaint) => return Report::failed(complaint),
    };
    if matches!(cli.scenario, Scenario::DiskFull)
        && let Some(done) = tmpfs::in_a_namespace_of_its_own()
    {
        return done;
    }
    let mut running = JoinSet::new();
    running.spawn(cli.scenario.run(plan, Report::begin()));
    match tokio::time::timeout(LONGEST, running.join_next()).await {
        Ok(Some(Ok(report))) => report.verdict(),
        Ok(Some(Err(panic))) => Report::failed(panic),
        Ok(None) | Err(_) => Report::failed(format!("not done within {LONGEST:?}")),
    }
}
