//! What happens in a run: as much as can be answered, half of that, twice of that, half of that again.

use std::time::Duration;

use testkit::gateway::Builder;
use testkit::{Database, Gateway, Scene, client};

use super::answers::Answers;
use super::refusals::Refusals;
use super::watch::Watched;
use crate::figures::{Latencies, rate};
use crate::kernel::Processes;
use crate::many_keys;
use crate::offered::{Crowd, Outcome, Told};
use crate::plan::Plan;
use crate::question::Question;
use crate::report::Report;

/// Of what is answered at the most, while there are twice as many requests.
const GOODPUT: f64 = 0.9;
const RECOVERY: Duration = Duration::from_secs(1);
/// An answer is as usual if it takes twice what nearly all of them take, and so much more.
const GRACE: Duration = Duration::from_millis(50);

/// Of a core: a worker that has less to do waits for others.
const BUSY: f64 = 0.85;

pub(super) struct Stages {
    gateway: Gateway,
    _scene: Scene,
    /// Requests under way at the most.
    places: usize,
    question: Question,
    /// Whether it is the upstream that takes time.
    is_slow: bool,
}

/// Connections for each place: so many are needed that there are always requests which wait for none.
const CROWD: usize = 6;

impl Stages {
    /// A gateway with one worker and so many places.
    pub(super) async fn with(plan: &Plan, answers: Answers, places: usize) -> Self {
        let streamed = answers.streamed();
        let upstream = answers.start().await;
        let scene = Scene::on(Database::migrated().await).await;
        many_keys::insert(&scene, 0..1).await;
        let gateway = Builder::serve(&plan.binary, &scene.database.url())
            .upstream(&upstream.url())
            .env("MINDWEAVE_LOG_LEVEL", "info")
            .env("MINDWEAVE_PROXY_THREADS", "1")
            .env("MINDWEAVE_SPOOL_DURABILITY", "process")
            .env("MINDWEAVE_INGEST_MAX_PENDING_EVENTS", &places.to_string())
            .start()
            .await;
        let body = client::question(streamed).to_string();
        Self {
            question: Question::of(&gateway, 1, body),
            gateway,
            _scene: scene,
            places,
            is_slow: !streamed,
        }
    }

    pub(super) async fn run(self, plan: &Plan, report: &mut Report) {
        let each = plan.pick(Duration::from_secs(1), Duration::from_secs(8));
        let peak = self.saturate(report, each).await;
        // The first half warms them up: connections are made when they are first needed.
        let mut few = self.crowd(self.places / 2).await;
        let half = whole(peak * 0.5);
        few.ask(Some(half), each / 4).await;
        let usual = few.ask(Some(half), each / 2).await;
        let (bad, first) = usual.bad();
        report.check(
            format_args!("not answered at half of that: {bad}{first}"),
            bad == 0,
        );
        let patience = 2 * latencies(&usual).percentile(99) + GRACE;

        let mut many = self.crowd(CROWD * self.places).await;
        let twice = whole(peak * 2.0);
        let after = async {
            tokio::time::sleep(each).await;
            few.ask(Some(half), each / 2).await
        };
        let over = Watched::during(&self.gateway, many.ask(Some(twice), each));
        let ((over, memory), after) = tokio::join!(over, after);
        compare(plan, report, peak, each, &over);
        recovered(plan, report, patience, &after);
        remember(report, &memory);
        report.check(
            "the gateway ends in good order",
            self.gateway.stop().await.success(),
        );
    }

    async fn crowd(&self, connections: usize) -> Crowd {
        Crowd::connect(self.question.clone(), connections).await
    }

    /// As many as are answered a second when each place is taken again as soon as it is free.
    async fn saturate(&self, report: &mut Report, each: Duration) -> f64 {
        let mut callers = self.crowd(self.places).await;
        callers.ask(None, each / 2).await;
        let processes = Processes(vec![self.gateway.pid()]);
        let before = processes.cpu();
        let told = callers.ask(None, each).await;
        let peak = rate(told.whole(), told.during);
        let busy = processes.cpu().since(&before).as_secs_f64() / told.during.as_secs_f64();
        report.say(format_args!(
            "  {} at once: {peak:.0} answers a second, all threads of the gateway together {:.0} % of a core",
            self.places,
            busy * 100.0
        ));
        if !self.is_slow && busy < BUSY {
            report
                .say("  the worker had time left: it is callers and upstream that answer no more");
        }
        peak
    }
}

/// What became of twice as many.
fn compare(plan: &Plan, report: &mut Report, peak: f64, each: Duration, over: &Told) {
    let end = over.began + each;
    let in_time = over.answers.iter().filter(|answer| answer.ended <= end);
    let good = in_time.filter(|answer| matches!(answer.outcome, Outcome::Whole));
    let share = rate(good.count(), each) / peak;
    let refusals = Refusals::of(over);
    report.say(format_args!(
        "  asked {:.2} times as often: x{share:.2} answered, refused: {:?}",
        rate(over.answers.len(), each) / peak,
        refusals.by_kind
    ));
    let bound = plan.pick(0.3, GOODPUT);
    report.check(
        format_args!("answers are x{bound:.2} of before at the least"),
        share >= bound,
    );
    report.check("there are refusals", refusals.count() > 0);
    report.check(
        format_args!(
            "answers that are neither whole nor the API's word for it: {}{}",
            refusals.strange, refusals.example
        ),
        refusals.strange == 0,
    );
}

/// How long until everything was as usual for good.
fn recovered(plan: &Plan, report: &mut Report, patience: Duration, after: &Told) {
    let unusual = after.answers.iter().filter(|answer| {
        let is_whole = matches!(answer.outcome, Outcome::Whole);
        !is_whole || answer.ended - answer.due > patience
    });
    let last = unusual.map(|answer| answer.due - after.began).max();
    let took = last.unwrap_or_default();
    report.say(format_args!(
        "  the last request that was refused, or took longer than {patience:?}, was due {took:?} after the end of it"
    ));
    if plan.pick(false, true) {
        report.check("it recovers within a second", took <= RECOVERY);
    }
}

fn remember(report: &mut Report, memory: &Watched) {
    let (middle, end) = memory.thirds();
    report.say(format_args!(
        "  anonymous memory: {middle:.1} MB in the middle third, {end:.1} MB in the last, {:.1} MB at the most",
        memory.most()
    ));
    let bound = middle * 1.1 + 8.0;
    report.check(
        format_args!("it doesn't grow (bound: {bound:.1} MB)"),
        end <= bound,
    );
}

fn latencies(told: &Told) -> Latencies {
    let took = told.answers.iter().map(|answer| answer.ended - answer.due);
    Latencies::new(took.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and no machine answers so many"
)]
fn whole(per_second: f64) -> u32 {
    (per_second as u32).max(1)
}
