//! At how many requests a second the spool doesn't grow: the rate is raised step by step, and at last there is none.

use std::time::Duration;

use serde_json::json;
use testkit::gateway::Builder;
use testkit::{Database, Gateway, Scene, eventually_within};

use crate::figures::rate;
use crate::many_keys;
use crate::offered::Crowd;
use crate::plan::Plan;
use crate::question::Question;
use crate::report::Report;
use crate::simulator::Simulator;

const CONNECTIONS: usize = 64;
/// No divisor of the time for which writers wait for more.
const LOOK: Duration = Duration::from_millis(70);
/// Of the requests of a second: what is more is growth.
const GROWTH: f64 = 0.05;
/// Of the intended rate: what is less isn't that rate.
const ANSWERED: f64 = 0.95;

/// What was seen at a rate.
struct Step {
    answered: f64,
    /// Events that wait, on average.
    waiting: f64,
    /// How many more there are each second.
    growth: f64,
    bad: (usize, String),
}

impl Step {
    fn grows(&self) -> bool {
        self.growth > GROWTH * self.answered
    }
}

pub(super) async fn run(plan: &Plan, report: &mut Report) {
    let simulator = Simulator::start(plan);
    let scene = Scene::on(Database::migrated().await).await;
    many_keys::insert(&scene, 0..1).await;
    let gateway = Builder::serve(&plan.binary, &scene.database.url())
        .upstream(&simulator.url())
        .env("MINDWEAVE_LOG_LEVEL", "info")
        .start()
        .await;
    let mut crowd = Crowd::connect(question(&gateway), CONNECTIONS).await;
    let each = plan.pick(Duration::from_millis(600), Duration::from_secs(6));
    let by: u32 = plan.pick(100, 1_000);
    let steps = plan.pick(2, 30);
    report.say(format_args!(
        "{each:?} at each rate, {by} more a second each time"
    ));
    let mut best = 0;
    let mut bad = 0;
    let mut why = "the steps end there";
    for intended in (1..=steps).map(|step| step * by) {
        let name = format!("{intended} requests a second");
        let mut step = watch(&gateway, &mut crowd, Some(intended), each).await;
        say(report, &name, &step);
        bad += step.bad.0;
        if step.grows() {
            // So does a batch that came a little later.
            step = watch(&gateway, &mut crowd, Some(intended), each).await;
            say(report, &format!("{name} once more"), &step);
            bad += step.bad.0;
        }
        if step.answered < ANSWERED * f64::from(intended) {
            why = "more aren't answered in time";
            break;
        }
        if step.grows() {
            why = "with more it grows";
            break;
        }
        best = intended;
    }
    report.say(format_args!(
        "  the spool doesn't grow at {best} requests a second: {why}"
    ));
    let most = watch(&gateway, &mut crowd, None, each).await;
    say(report, "as fast as answers come", &most);
    bad += most.bad.0;
    if !most.grows() {
        report.say("  it doesn't grow then either: storing isn't what limits");
    }
    report.check(format_args!("requests not answered: {bad}"), bad == 0);
    until_empty(&gateway).await;
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
}

fn question(gateway: &Gateway) -> Question {
    let body = json!({
        "model": "claude-opus-5",
        "max_tokens": 1_000,
        "messages": [{"role": "user", "content": "Tell me a story about rivers."}],
    });
    Question::of(gateway, 1, body.to_string()).with("x-simulator-output-tokens", &20)
}

/// Asks at a rate, and looks how many events wait meanwhile.
async fn watch(
    gateway: &Gateway,
    crowd: &mut Crowd,
    per_second: Option<u32>,
    each: Duration,
) -> Step {
    until_empty(gateway).await;
    let looking = async {
        let mut seen = Vec::new();
        let looks = each.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            tokio::time::sleep(LOOK).await;
            seen.push(gateway.metric("mindweave_spool_events").await);
        }
        seen
    };
    let (told, seen) = tokio::join!(crowd.ask(per_second, each), looking);
    // The first third finds its pace.
    let third = seen.len() / 3;
    let (middle, end) = (mean(&seen[third..2 * third]), mean(&seen[2 * third..]));
    Step {
        answered: rate(told.whole(), told.during),
        waiting: mean(&seen[third..]),
        growth: (end - middle) / (each / 3).as_secs_f64(),
        bad: told.bad(),
    }
}

fn say(report: &Report, name: &str, step: &Step) {
    report.say(format_args!(
        "  {name}: {:.0} a second are answered, {:.0} events wait, {:+.0} more each second{}",
        step.answered, step.waiting, step.growth, step.bad.1
    ));
}

/// What waits goes up and down with each batch.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

async fn until_empty(gateway: &Gateway) {
    eventually_within(Duration::from_mins(2), "all events are stored", || async {
        (gateway.metric("mindweave_spool_events").await == 0.0).then_some(())
    })
    .await;
}
