//! Twice as many requests as the gateway can take, and what becomes of them.
//!
//! Holds: it goes on answering as many as it can; whom it refuses is told so in the API's own words; its memory doesn't grow
//! meanwhile; and a second after the last request too many nobody notices any more.
//!
//! What the gateway has is a bound on requests under way (`ingest.max_pending_events`). It is reached in two ways: because answers
//! take their time upstream, and because the gateway's only worker has no time left.

mod answers;
mod refusals;
mod stages;
mod verdict;
mod watch;

use std::time::Duration;

use self::answers::Answers;
use self::stages::Stages;
use crate::plan::Plan;
use crate::report::Report;

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    report.say("answers that take their time: no place is free");
    let slow = Answers::Slow(Duration::from_millis(100));
    let stages = Stages::with(plan, slow, plan.pick(10, 100)).await;
    stages.run(plan, &mut report).await;

    let deltas = plan.pick(200, 2_000);
    report.say(format_args!(
        "streams of {deltas} deltas at once: the worker has no time left"
    ));
    let stages = Stages::with(plan, Answers::long(deltas), plan.pick(10, 64)).await;
    stages.run(plan, &mut report).await;

    report.say("short answers at once: each costs little more than to refuse it");
    let stages = Stages::with(plan, Answers::Short, plan.pick(10, 64)).await;
    stages.run(plan, &mut report).await;
    report
}
