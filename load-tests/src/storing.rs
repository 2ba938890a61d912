//! How fast events are stored: two writers beside psql's `\copy` of the same rows, and how many requests a second they keep up with.

mod backlog;
mod keeping_up;

use crate::plan::Plan;
use crate::report::Report;

/// How much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// How many events wait for the database, each time
    #[arg(long, value_name = "N")]
    events: Option<u32>,
    /// How often
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
}

pub(crate) async fn run(choice: &Choice, plan: &Plan, mut report: Report) -> Report {
    let events = choice.events.unwrap_or(plan.pick(4_000, 200_000));
    let rounds = choice.rounds.unwrap_or(plan.pick(1, 3));
    backlog::run(plan, events, rounds, &mut report).await;
    keeping_up::run(plan, &mut report).await;
    report
}
